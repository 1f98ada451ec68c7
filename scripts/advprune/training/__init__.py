"""The one training loop, its objectives and its recipes."""
