"""The published language of Tunebus: envelope, commands, events, telemetry, queries, subjects, errors and the client.

Nothing here may import SQL, a broker framework or torch.
"""
