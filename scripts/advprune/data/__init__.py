"""Datasets as uint8 tensors: their table, their files, their batches."""
