"""A subcommand that explains itself: examples and exit statuses belong to it like its options."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


class Taught(click.Command):
    """A click command whose help ends with examples, exit statuses and where to read on."""

    def __init__(
        self,
        *arguments: Any,
        examples: Sequence[str],
        status: Mapping[int, str],
        more: str,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self.examples, self.status, self.more = examples, status, more

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what follows the options."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write_text(f"advprune {line}")
        with formatter.section("Exit status"):
            formatter.write_dl([(str(number), text) for number, text in self.status.items()])
        with formatter.section("More"):
            formatter.write_text(self.more)
