"""One module per pruning method; the module's name is the method's key."""
