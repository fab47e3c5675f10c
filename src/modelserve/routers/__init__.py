"""Port: routers."""
