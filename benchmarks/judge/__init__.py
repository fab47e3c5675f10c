"""How often the judge is wrong, and how fast it is right, on simulated traffic."""
