"""What every process stands on: settings, database, ledger, bus, health and logging.
It knows no service and no projection.
"""
