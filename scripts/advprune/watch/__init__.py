"""A run seen from its files: what is done, under way, failed and left, and how long it takes."""
