"""Port: launchers."""
