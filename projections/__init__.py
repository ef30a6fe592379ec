"""The read side: tables, pure apply functions, queries and rebuild. It never decides anything and never touches the bus."""
