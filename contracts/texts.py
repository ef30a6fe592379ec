"""Texts that strangers wrote, as databases can keep them. It decides nothing about what a text says."""

from __future__ import annotations


def storable(text: str) -> str:
    """Text as every database takes it: PostgreSQL refuses NUL, and neither takes half a surrogate pair."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
