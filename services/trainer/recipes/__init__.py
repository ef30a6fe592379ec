"""Recipes: how fine-tuning is done. What all methods share is in `supervised`; each method has a module of its own."""
