"""The starter pack: a small model and a question set made from text that every Python installation carries.

`pack/` holds the shipped result, the scripts beside it remake it. Nothing here runs during a user's job.
"""
