"""What every built-in command is: its output is kept clean, its help has groups, a misspelt name gets a suggestion."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import click

from sea_toolkit.cli.output import as_written, results_only
from sea_toolkit.errors import did_you_mean


class Command(click.Command):
    """A built-in command: standard output is for its results alone.

    Args:
        sections: titles of groups of options in the help, and the options in them; the others stand at the end.
    """

    def __init__(self, *arguments: Any, sections: Mapping[str, Sequence[str]] = MappingProxyType({}), **more: Any):
        super().__init__(*arguments, **more)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        records = {
            parameter.opts[0]: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)) is not None
        }
        grouped = {option for options in self.sections.values() for option in options}
        others = [option for option in records if option not in grouped]
        for title, options in [*self.sections.items(), ("Options" if not grouped else "Other", others)]:
            with formatter.section(title):
                formatter.write_dl([records[option] for option in options])

    def get_help(self, ctx: click.Context) -> str:
        """The help text, in what standard output can write; to an ASCII stream click would write UTF-8."""
        return as_written(super().get_help(ctx), sys.stdout)

    def invoke(self, ctx: click.Context) -> None:
        """Run it."""
        with results_only():
            super().invoke(ctx)


class Group(click.Group):
    """A built-in command with commands under it."""

    command_class = Command

    def known_commands(self, ctx: click.Context) -> list[str]:
        """The names that a misspelt one may stand for."""
        return self.list_commands(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look the command up; an unknown one gets a did-you-mean."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = did_you_mean(args[0], self.known_commands(ctx))
            raise click.UsageError(f"there is no command {args[0]!r}\ntry: {hint}", ctx) from error

    def get_help(self, ctx: click.Context) -> str:
        """As that of `Command`."""
        return as_written(super().get_help(ctx), sys.stdout)
