"""Evaluation workers: the trainer's shape, with scoring in place of training. Only the child imports torch."""
