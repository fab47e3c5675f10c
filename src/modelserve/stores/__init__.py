"""Port: stores, chosen by URL."""
