"""Commands that plugins add to the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import PluginError
from sea_toolkit.registry.blame import AttributedError, attribute_errors_to
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.registry.staging import call_hook

if TYPE_CHECKING:
    import click

Functions = Iterable[tuple[PluginRecord, Callable[..., Any]]]


def collect_commands(
    group: click.Group, functions: Functions, reserved: Iterable[str]
) -> list[tuple[PluginRecord, str]]:
    """Add the plugins' commands to `group`; return the plugins that failed, with the cause.

    Each plugin fills a group of its own, so that it can neither see nor replace the commands of others.
    """
    import click

    taken = {*reserved, *group.commands}
    owners: dict[str, list[tuple[PluginRecord, click.Command]]] = {}
    failed = []
    for record, function in functions:
        scratch = click.Group()
        try:
            with attribute_errors_to(record.owner.with_code_of(function), "in sea_register_commands"):
                call_hook(record, "sea_register_commands", function, cli=scratch)
        except AttributedError as error:
            failed.append((record, error.cause))
            continue
        for name, command in scratch.commands.items():
            group.add_command(command, f"{record.distribution}:{name}")
            if name in taken:
                record.warn(
                    f"its command {name!r} is reached as {record.distribution}:{name} only: the short name is built-in"
                )
            else:
                owners.setdefault(name, []).append((record, command))
    for name, claims in owners.items():
        group.add_command(claims[0][1] if len(claims) == 1 else _clash(name, [r for r, _ in claims]), name)
    return failed


def _clash(name: str, records: list[PluginRecord]) -> click.Command:
    import click

    def complain(args: tuple[str, ...]) -> None:
        owners = " and ".join(record.label for record in records)
        raise PluginError(
            f"the command {name!r} is claimed by {owners}",
            hint="write " + " or ".join(sorted({f"{record.distribution}:{name}" for record in records})),
        )

    return click.Command(
        name,
        callback=complain,
        params=[click.Argument(["args"], nargs=-1, type=click.UNPROCESSED)],
        context_settings={"ignore_unknown_options": True},
        add_help_option=False,
    )
