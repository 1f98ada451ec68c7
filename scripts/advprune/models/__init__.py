"""Nets, one file each, and what can be read off them and written of them."""
