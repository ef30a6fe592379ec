"""The training itself, one module per method. Imported by the training child alone."""
