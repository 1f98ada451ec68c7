"""What everything rests on: errors, files, seeds, progress, provenance, imports."""
