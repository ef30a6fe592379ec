"""The `tunebus` command."""
