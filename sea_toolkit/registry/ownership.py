"""Several copies of one distribution, or several distributions with one file: which counts, and what is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from sea_toolkit.registry.metadata import Installed
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.registry.static.locate import MissingModuleError, find_spec, locate, module_of


def first_copies(found: Sequence[Installed]) -> list[Installed]:
    """One of each name, with a warning that names the other copies.

    The copy counts whose modules can be found and, by its RECORD, are its own; then, as for imports, the one that is
    earlier on the path; in one folder the later version.

    Args:
        found: in the order of the path.
    """
    copies: dict[str, list[Installed]] = {}
    for distribution in found:
        copies.setdefault(distribution.name, []).append(distribution)
    chosen = []
    for same in copies.values():
        distinct = list({copy.folder: copy for copy in same}.values())
        best = min(distinct, key=lambda copy: _rank(copy, distinct)) if len(distinct) > 1 else distinct[0]
        for other in (copy for copy in distinct if copy is not best):
            best.warnings.append(
                f"another copy of its metadata, version {other.version}, lies in {other.folder}; "
                f"that of version {best.version} in {best.folder} counts: remove the one that is stale"
            )
        chosen.append(best)
    return chosen


def _rank(copy: Installed, copies: Sequence[Installed]) -> tuple[bool, int, int, list[int]]:
    """Of several copies, the least counts."""
    files = [_file(value) for _, value in copy.points]
    owned = [copy.owns(file) for file in files if file is not None]
    strange = 0 if owned and all(owned) else 2 if False in owned else 1
    place = next(i for i, other in enumerate(copies) if other.folder.parent == copy.folder.parent)
    return None in files, strange, place, [-int(part) for part in re.findall(r"\d+", copy.version)]


def _file(value: str) -> Path | None:
    """Where an entry point leads; a folder's name stands for what has no source, None for what does not exist."""
    try:
        spec = find_spec(module_of(value))
    except MissingModuleError:
        return None
    return locate(value) or Path(spec.origin if spec is not None and spec.origin else module_of(value))


def refuse_strangers(pairs: Iterable[tuple[PluginRecord, Installed]]) -> None:
    """Mark as broken what leads to the file of another plugin: two distributions may bring a file of one name.

    Args:
        pairs: each plugin's record and its distribution.
    """
    by_module: dict[str, list[tuple[PluginRecord, Installed]]] = {}
    for record, distribution in pairs:
        by_module.setdefault(module_of(record.value), []).append((record, distribution))
    for module, same in by_module.items():
        if len(same) > 1 and (file := locate(module)) is not None:
            _refuse_in(file, same)


def _refuse_in(file: Path, same: list[tuple[PluginRecord, Installed]]) -> None:
    owners = [d for _, d in same if d.owns(file)] or [d for _, d in same if d.owns(file) is None] or [same[0][1]]
    owner = owners[0]
    leaders: dict[str, PluginRecord] = {}
    for record, distribution in same:
        if distribution is owner:
            leaders.setdefault(_object(record.value), record)
    for record, distribution in same:
        leader = leaders.get(_object(record.value))
        if record is leader:
            continue
        if distribution is owner and leader is not None:
            record.rule_out(
                f"leads to the same object as entry point {leader.name!r} of the same distribution ({file}): "
                "one of the two is to be left out"
            )
        elif distribution is not owner and (leader is not None or distribution.owns(file) is False):
            by_record = ", by the hash in its RECORD" if owner.owns(file) else ""
            record.rule_out(
                f"leads to {file}, which is the file of {owner.name} {owner.version}{by_record}: both distributions "
                "have a module of this name, and only one of them can be installed"
            )


def _object(value: str) -> str:
    """The value of an entry point without blanks and extras."""
    return re.sub(r"\s", "", value.partition("[")[0])
