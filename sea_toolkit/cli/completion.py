"""What the shell offers at the Tab key: names of built-in items and of plugins, without importing a plugin or torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
from click.shell_completion import CompletionItem

from sea_toolkit.cli.hub_options import hub_for
from sea_toolkit.errors import SeaError
from sea_toolkit.models.resolve import model_of
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.records import CORE

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_of(*kinds: str, role: str | None = None, terms: bool = False, several: bool = False) -> Completer:
    """A completer for names.

    Args:
        kinds: of the items; none for every kind.
        role: of models, as far as it is known without an import.
        terms: the value is `NAME=WEIGHT,OPTION=VALUE`; what follows the name is not completed.
        several: the value is a list with commas, each of which may be `LABEL=NAME`.
    """

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        start = max(incomplete.rfind(","), incomplete.rfind("=")) + 1 if several else 0
        before, word = incomplete[:start], incomplete[start:]
        if terms and ("=" in word or "," in word):
            return []
        if role is not None and word.startswith((".", "/", "~")):
            return [CompletionItem(incomplete, type="file")]
        try:
            found = dict(_names(hub_for(ctx), kinds, role))
        except SeaError:  # a misspelt --plugin; the command will tell
            return []
        return [
            CompletionItem(before + name, help=summary)
            for name, summary in sorted(found.items())
            if name.startswith(word)
        ]

    return complete


def _names(hub: PluginHub, kinds: tuple[str, ...], role: str | None) -> Iterator[tuple[str, str]]:
    hub.inspect()
    roles = {item.name: model_of(item).role for item in hub.items("model")} if role is not None else {}
    for record in hub.records:
        for kind, names in record.provides.items():
            if kind == "command" or (kinds and kind not in kinds):
                continue
            for name, summary in names.items():
                if kind == "model" and record.distribution == CORE and roles.get(name, role) != role:
                    continue
                yield name, summary


REWARDS = names_of("model", "energy", role="reward", terms=True)
ENERGIES = names_of("energy", terms=True)
RECIPES = names_of("recipe", terms=True)
POLICIES = names_of("model", role="policy")
SAMPLERS = names_of("sampler")
SAMPLER_LIST = names_of("sampler", several=True)
