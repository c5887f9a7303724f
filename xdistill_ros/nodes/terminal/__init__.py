"""Processes that a command at a terminal starts beside the graph: they listen, ask, and are no nodes of it."""
