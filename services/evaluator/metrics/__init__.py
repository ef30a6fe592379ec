"""The scoring of answers, one module per family of metrics. No torch, no I/O."""
