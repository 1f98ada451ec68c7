"""Checkpoints of other programs: container → outline → reading → tensors → a net of ours."""
