"""Evaluation copies of nets with equal logits that are cheaper to run."""
