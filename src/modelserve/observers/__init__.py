"""Port: observers."""
