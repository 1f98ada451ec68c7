"""One module per net, loaded by name."""
