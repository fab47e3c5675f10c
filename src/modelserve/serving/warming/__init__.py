"""Before a model answers anyone: what it is run on, and what that tells about how it is to be run."""
