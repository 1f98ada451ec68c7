"""How fast it is: pairs of the plain path and ours, answers compared."""
