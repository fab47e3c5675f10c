"""Pure: spec and state to a route table, and its rendering."""
