"""The outcome of each plugin's last load, remembered so that listing need not import.

One small JSON file in the user's cache folder. It is a convenience: failures to read, write or parse it are ignored. An
outcome counts only while the plugin's files, the installed distributions and sea_toolkit are the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.registry.static.locate import locate
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.paths import cache_folder
from sea_toolkit.util.version import VERSION

LIMIT = 300
"""Outcomes kept, the latest first."""

_REMEMBERED = ("status", "error", "warnings", "provides", "hooks", "checked")


def cache_file() -> Path:
    """Where the outcomes are kept: beside the model cache."""
    return cache_folder() / "plugins.json"


def remember(records: Sequence[PluginRecord]) -> None:
    """Store the outcomes of these records, together with those of others that are still there."""
    if not records:
        return
    outcomes, environment = _read(), _environment()
    for record in records:
        file = locate(record.value)
        if file is not None:
            fields = {name: value for name, value in vars(record).items() if name in _REMEMBERED}
            outcomes[_key(record, file)] = {"fingerprint": _fingerprint(record, file, environment), **fields}
    latest = sorted(outcomes.items(), key=lambda entry: str(entry[1].get("checked")), reverse=True)[:LIMIT]
    text = json.dumps(dict(latest), indent=1)
    with contextlib.suppress(OSError, SeaError):
        write_whole(cache_file(), text.encode())


def recall(records: Sequence[PluginRecord]) -> list[PluginRecord]:
    """Fill records with their remembered outcomes, where these still count; return the others."""
    outcomes, environment = _read(), _environment()
    return [record for record in records if not _recalled(record, outcomes, environment)]


def _recalled(record: PluginRecord, outcomes: dict[str, Any], environment: str) -> bool:
    file = locate(record.value)
    outcome = outcomes.get(_key(record, file)) if file else None
    if file is None or outcome is None or not _sound(outcome):
        return False
    if outcome.get("fingerprint") != _fingerprint(record, file, environment):
        return False
    for name in _REMEMBERED:
        setattr(record, name, outcome[name])
    record.file = str(file)
    return True


def _read() -> dict[str, dict[str, Any]]:
    try:
        content = parse_json(cache_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, SeaError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if isinstance(value, dict)}


def _sound(outcome: dict[str, Any]) -> bool:
    provides, hooks, warnings = outcome.get("provides"), outcome.get("hooks"), outcome.get("warnings")
    if not (isinstance(hooks, list) and isinstance(warnings, list)):
        return False
    strings = [*hooks, *warnings, outcome.get("checked")]
    return (
        outcome.get("status") in ("ok", "broken", "refused")
        and isinstance(outcome.get("error"), str | None)
        and all(isinstance(text, str) for text in strings)
        and isinstance(provides, dict)
        and all(isinstance(names, dict) for names in provides.values())
        and all(isinstance(text, str) for names in provides.values() for text in names.values())
    )


def _key(record: PluginRecord, file: Path) -> str:
    return f"{record.key} {file}"


def _fingerprint(record: PluginRecord, file: Path, environment: str) -> str:
    """Changes when the plugin's own files, any installed distribution, Python or sea_toolkit changes."""
    facts: list[Any] = [environment, record.version, record.value]
    for path in sorted(file.parent.rglob("*.py")) if file.name == "__init__.py" else [file]:
        with contextlib.suppress(OSError):
            stat = path.stat()
            facts.append((str(path), stat.st_mtime_ns, stat.st_size))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]


def _environment() -> str:
    facts = [VERSION, sys.version]
    for folder in sys.path:
        with contextlib.suppress(OSError):
            facts += sorted(name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info")))
    return hashlib.sha256(repr(facts).encode()).hexdigest()
