"""Frozen words: the nouns that every other package speaks in. No behaviour beyond their own invariants."""
