"""Figures of the owner's own: Prometheus, HTTP and Python, asked in the background and told as outcomes."""
