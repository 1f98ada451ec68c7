"""The two architectures of the benchmark, defined once, and what can be read off them."""
