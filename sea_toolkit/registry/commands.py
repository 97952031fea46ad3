"""Commands that plugins add to the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import PluginError
from sea_toolkit.registry.blame import AttributedError, Owner, attribute_errors_to
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
            attribute_command(command, record.owner.with_code_of(function), name)
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


def attribute_command(command: click.Command, owner: Owner, name: str) -> None:
    """Let the failures of a plugin's command name the plugin. An exit code is the command's own, and so are the errors
    by which click talks to people."""
    import click

    make_context, invoke = command.make_context, command.invoke

    @contextlib.contextmanager
    def attributed() -> Iterator[None]:
        passing: BaseException | None = None
        with attribute_errors_to(owner, f"failed in its command {name!r}", user_errors_pass=True):
            try:
                yield
            except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError, EOFError) as error:
                passing = error
            except SystemExit as error:
                if isinstance(error.code, str):  # a message, which nobody could place
                    raise
                passing = error
        if passing is not None:
            raise passing

    def make_attributed(*arguments: Any, **named: Any) -> click.Context:
        with attributed():
            return make_context(*arguments, **named)

    def invoke_attributed(ctx: click.Context) -> Any:
        with attributed():
            return invoke(ctx)

    command.make_context, command.invoke = make_attributed, invoke_attributed  # type: ignore[method-assign]


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
