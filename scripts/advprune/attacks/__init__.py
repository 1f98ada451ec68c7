"""Evaluation attacks: functions that return tensors per sample, and the tables made of them."""
