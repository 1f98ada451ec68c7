"""Which results a run has, and whether those on disk are the ones that are asked for. No torch."""
