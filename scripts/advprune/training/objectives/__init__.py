"""Training objectives, one file each, loaded by name: each defines `OBJECTIVE`."""
