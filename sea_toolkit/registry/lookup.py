"""From a name to an item, and the messages when that fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sea_toolkit.errors import PluginError, RecipeError, SeaError, did_you_mean, shortened
from sea_toolkit.registry.items import Item
from sea_toolkit.registry.records import CORE, PluginRecord, normalize
from sea_toolkit.registry.static import inspection


@dataclass(frozen=True)
class Clash:
    """A name with several third-party owners. `what` is "entry point" or an item kind; `owners` are qualified."""

    what: str
    name: str
    owners: tuple[str, ...]


def is_from(record: PluginRecord, qualified: str) -> bool:
    """Whether a qualified name belongs to the record's distribution, however it is spelt."""
    return normalize(qualified.rpartition(":")[0]) == normalize(record.distribution)


def matching(items: Sequence[Item], name: str) -> list[Item]:
    """The items that a name may mean: those of a distribution, or in each kind the built-in one, else all."""
    distribution, colon, short = name.rpartition(":")
    named = [item for item in items if item.name == short]
    if colon:
        return [item for item in named if normalize(item.distribution) == normalize(distribution)]
    built_in = {item.kind for item in named if item.distribution == CORE}
    return [item for item in named if item.distribution == CORE or item.kind not in built_in]


def clash(items: Sequence[Item], for_what: str = "") -> RecipeError:
    """The error for a name that several plugins claim."""
    qualified = sorted({item.qualified for item in items})
    owners = " and ".join(f"{i.qualified} ({i.record.label})" for i in items)
    if len(qualified) == 1:  # two plugins of one distribution, or two files of one name
        hint = "leave one of the plugins out (SEA_PLUGINS, --plugin)"
    else:
        hint = "write " + " or ".join(qualified)
    return RecipeError(
        f"{_prefix(for_what, items[0].kind)}{items[0].kind} {items[0].name!r} is claimed by {owners}",
        expected="one owner, or a qualified name",
        hint=hint,
    )


def unknown(
    records: Sequence[PluginRecord],
    items: Sequence[Item],
    left_out: Sequence[str],
    kind: str | None,
    name: str,
    for_what: str = "",
) -> SeaError:
    """The error for an unknown name: close names, and broken plugins that provide it or may provide it.

    Args:
        records: of all plugins.
        items: all that are registered.
        left_out: plugins that `SEA_PLUGINS` leaves out.
        kind: of the item that is wanted, or None for any.
        name: what was asked for.
        for_what: the place that asks.
    """
    distribution, colon, short = name.rpartition(":")
    what = f"{_prefix(for_what, kind)}{kind or 'item'} {shortened(name)!r}"
    third_party = [record for record in records if record.distribution != CORE]
    everything, items = items, [item for item in items if kind in (None, item.kind)]
    if colon:
        third_party = [record for record in third_party if is_from(record, name)]
        items = [item for item in items if normalize(item.distribution) == normalize(distribution)]
        if not third_party and not items:
            known = {record.distribution for record in records}
            return RecipeError(
                f"{what}: no distribution {shortened(distribution)!r} with plugins is installed",
                hint="\n".join([did_you_mean(distribution, known), *_left_out(left_out)]),
            )
    failed = [record for record in third_party if record.failed]
    for record in failed:
        provided = inspection.provided(record)
        if any(short in names for of_kind, names in provided.items() if kind in (None, of_kind)):
            return PluginError(
                f"{what} comes from {record.label}, which is {record.status}: {record.error}",
                hint="repair or uninstall that plugin",
            )
    hints = [did_you_mean(name, [item.qualified if colon else item.name for item in items])]
    elsewhere = sorted({item.kind for item in everything if item.name == short and kind not in (None, item.kind)})
    if elsewhere:
        hints.append(f"{short!r} is the name of: {', '.join(elsewhere)}")
    hints += [f"it may be missing because {r.label} is {r.status}: {first_line(r.error)}" for r in failed]
    return RecipeError(f"{what} does not exist", hint="\n".join([*hints, *_left_out(left_out)]))


def clashes(records: Sequence[PluginRecord]) -> list[Clash]:
    """Entry-point names and item names with several third-party owners, from what the records provide."""
    owners: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record.distribution == CORE:
            continue
        owners.setdefault(("entry point", record.name), []).append(record.key)
        for kind, names in record.provides.items() if not record.failed else ():
            for name in names:
                owners.setdefault((kind, name), []).append(f"{record.distribution}:{name}")
    return [Clash(what, name, tuple(sorted(who))) for (what, name), who in sorted(owners.items()) if len(who) > 1]


def warn_of_shadowing(records: Sequence[PluginRecord]) -> None:
    """Note in its record when a third party uses a built-in's short name."""
    built_in = {
        (kind, name) for r in records if r.distribution == CORE for kind in r.provides for name in r.provides[kind]
    }
    for record in records:
        if record.distribution == CORE:
            continue
        for kind, names in record.provides.items():
            for name in names:
                if (kind, name) in built_in:
                    record.warn(
                        f"its {kind} {name!r} is reached as {record.distribution}:{name} only: "
                        "the short name is built-in"
                    )


def first_line(error: str | None) -> str:
    """The first line of a cause, for a sentence that lists several."""
    return (error or "").partition("\n")[0]


def _left_out(names: Sequence[str]) -> list[str]:
    return [f"SEA_PLUGINS leaves out {few_of(names)}"] if names else []


def few_of(names: Sequence[str]) -> str:
    """The first five names and how many more there are, for a sentence about something else."""
    more = f" and {len(names) - 5} more (sea-toolkit list-plugins --json names all)" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _prefix(for_what: str, kind: str | None) -> str:
    """The place that asks, unless its name is the kind's, which the message contains anyway."""
    return f"{for_what}: " if for_what not in ("", kind) else ""
