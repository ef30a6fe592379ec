"""Telemetry ingestion and every projection that need not be inline."""
