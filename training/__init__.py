"""Trains the models that come with ModelServe, and writes their packages to `models/`."""
