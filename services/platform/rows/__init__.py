"""Rows of a dataset: read from files, put into templates, split, encoded. Shared by registry, trainer and evaluator.

Nothing here imports torch or a tokenizer library; a tokenizer comes in as an object.
"""
