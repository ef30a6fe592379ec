"""The read side: tables, pure apply functions, queries and rebuild. It decides nothing and never touches the bus."""

from tunebus.projections.changes import Change, Delete, Insert, Update
from tunebus.projections.dispatch import apply
from tunebus.projections.tables import PROJECTIONS, metadata, name_key

__all__ = ["PROJECTIONS", "Change", "Delete", "Insert", "Update", "apply", "metadata", "name_key"]
