"""Many prompts in one folder: what `align --batch N --out DIR` and `resume DIR` share."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sea_toolkit.cli.interrupt import exit_code
from sea_toolkit.cli.output import say, say_error
from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.allowed import Allowed
from sea_toolkit.shards.part import Part
from sea_toolkit.util.run_files import MANY
from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.shards.standing import Standing
    from sea_toolkit.shards.store import Store
    from sea_toolkit.work.engine import Engine

SOME_FAILED = 3
"""Exit code where all was done that could be, and prompts are left without an answer."""
NAMED = 5
"""Prompts without an answer that are told of one by one."""


def is_many(folder: Path) -> bool:
    """Whether a folder is one of many prompts."""
    return (folder / MANY).is_file()


def refuse(options: Mapping[str, Any], instead: str) -> None:
    """Refuse options that mean nothing for a folder of many prompts.

    Args:
        options: name to whether it was given.
        instead: what is right.

    Raises:
        RecipeError: one was given.
    """
    for name in (name for name, given in options.items() if given):
        raise RecipeError(f"{name} with a folder of many prompts (--batch and --out)", expected=instead)


def carry_out(
    store: Store,
    hub: PluginHub,
    allowed: Allowed,
    trust_remote_code: bool,
    part: Part | None,
    engine: Engine | None,
    again: str | None,
) -> NoReturn:
    """Answer what is left of a part of the shards, say how it went, and end the command.

    Args:
        store: the folder.
        hub: plugins.
        allowed: what energies may run and ask.
        trust_remote_code: whether Python that comes with a model may run.
        part: which shards; None for all.
        engine: who starts workers; None: this process answers by itself.
        again: what to type to go on.

    Raises:
        RecipeError: a part and an engine.
        SeaError: what is wrong is not the prompts.
    """
    from sea_toolkit.cli.render import live
    from sea_toolkit.shards.answering import answer
    from sea_toolkit.shards.standing import Standing

    try:
        with live(f"loading {store.plan.recipe.policy.model}") as shown:
            watch = shown.watching("answering", "prompts")
            answer(store, hub, allowed, trust_remote_code, part, engine, watch, shown.progress)
    except KeyboardInterrupt:
        standing = Standing.of(store)
        say(
            f"interrupted: {standing.answered} of {counted(standing.prompts, 'prompt')} have an answer; "
            f"go on with: {again}",
            err=True,
        )
        sys.exit(exit_code())
    end(Standing.of(store), store.folder, again)


def end(standing: Standing, folder: Path, again: str | None) -> NoReturn:
    """Say how many prompts have an answer and which have none; exit code 0, or 3 where there are such."""
    say(summary(standing, folder))
    if standing.is_whole:
        say(f"one table of all: sea-toolkit merge {folder} --to results.jsonl")
    else:
        say(f"the rest is for others, or for: {again}")
    say_skipped(standing.skipped)
    if not standing.failed:
        sys.exit(0)
    say_error("\n".join(failures(standing, folder)))
    sys.exit(SOME_FAILED)


def summary(standing: Standing, folder: Path) -> str:
    """One line: prompts and shards."""
    return (
        f"{folder}: {standing.answered} of {counted(standing.prompts, 'prompt')} have an answer, "
        f"{standing.settled} of {counted(standing.shards, 'shard')} are done"
    )


def failures(standing: Standing, folder: Path) -> list[str]:
    """The prompts without an answer, the first few with what went wrong."""
    lines = [f"{counted(len(standing.failed), 'prompt')} without an answer, named in {folder / 'failed'}:"]
    for entry in standing.failed[:NAMED]:
        text = entry["prompt"] if isinstance(entry["prompt"], str) else entry["prompt"][-1]["content"]
        lines.append(f"  prompt {entry['index']} ({text[:60]!r}): {entry['error'].splitlines()[0]}")
    if len(standing.failed) > NAMED:
        lines.append("  …")
    return lines


def say_skipped(skipped: Sequence[str]) -> None:
    """Name the lines of the file that were left out."""
    for line in skipped[:NAMED]:
        say(f"left out: {line}", err=True)
    if len(skipped) > NAMED:
        say(f"left out: {len(skipped) - NAMED} more, named in the plan", err=True)
