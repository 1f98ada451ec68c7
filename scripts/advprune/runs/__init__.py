"""Whole runs after they are done: packed, joined, compared, tidied."""
