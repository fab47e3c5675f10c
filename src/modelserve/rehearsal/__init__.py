"""Rollouts on simulated or recorded traffic, decided by the judge itself."""
