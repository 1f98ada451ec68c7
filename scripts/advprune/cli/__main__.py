"""`python -m advprune.cli`: the command of the checkout whose scripts/ is on the path."""

from advprune.cli.main import main

main(prog_name="advprune")
