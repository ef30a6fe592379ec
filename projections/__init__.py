"""The read side: tables, pure apply functions, queries and rebuild. It decides nothing and never touches the bus."""
