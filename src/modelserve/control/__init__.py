"""Program: the controller."""
