"""The command `advprune`: a group whose subcommands are modules of this folder."""

import importlib
import sys
from typing import Any

import click

from advprune.base.errors import UserError
from advprune.base.text import make_printable

# In the order of `--help`. A new one is a name here and a module with a function `command`:
# `new-method` is new_method.py.
SUBCOMMANDS = (
    *("estimate", "status", "leaderboard", "figures", "verify", "why"),
    *("compare", "merge", "archive", "site", "tidy", "new-method", "docs"),
)


class Refused(click.ClickException):
    """What a user must mend, as one line and exit status 2."""

    exit_code = 2


class Subcommands(click.Group):
    """Loads a subcommand when it is asked for, so that none waits for the imports of another."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Command of the module that is named like the subcommand."""
        if cmd_name not in SUBCOMMANDS:
            return None
        module = importlib.import_module(f"advprune.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Print what a terminal's encoding lacks in letters that it has."""
        make_printable(sys.stdout, sys.stderr)
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; a UserError, or a place that cannot be used, becomes one line."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise Refused(str(error)) from None
        except OSError as error:
            if error.filename is None:
                raise
            raise Refused(f"{error.filename}: {error.strerror}") from None


@click.group(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Look at runs of the benchmark, and add to it.

    Snakemake trains, prunes and attacks (`snakemake --cores all`); this command is for what people
    do before and after. Every subcommand explains itself: `advprune verify --help`.

    Exit status: 0 done, 1 done and something is not as it should be, 2 cannot be done as asked.
    """
