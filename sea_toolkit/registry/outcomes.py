"""The outcome of each plugin's last load, remembered so that listing need not import.

One small JSON file in the user's cache folder. It is a convenience: failures to read, write or parse it are ignored. An
outcome counts only while the plugin's files, the installed distributions and sea_toolkit are the same; a failure only
while the environment variables that its code or its message names are the same as well.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.registry.docstrings import first_line
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.registry.static.files import files_of, stamps
from sea_toolkit.registry.static.locate import origin_of
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
    outcomes, installation = _read(), _installation()
    for record in records:
        origin = origin_of(record.value)
        if origin is not None:
            fields = {name: value for name, value in vars(record).items() if name in _REMEMBERED}
            facts = {
                "fingerprint": _fingerprint(record, installation),
                "environment": _environment(record, record.error),
            }
            outcomes[_key(record, origin)] = {**facts, **fields}
    latest = sorted(outcomes.items(), key=lambda entry: str(entry[1].get("checked")), reverse=True)[:LIMIT]
    text = json.dumps(dict(latest), indent=1)
    with contextlib.suppress(OSError, SeaError):
        write_whole(cache_file(), text.encode())


def recall(records: Sequence[PluginRecord]) -> list[PluginRecord]:
    """Fill records with their remembered outcomes, where these still count; return the others."""
    outcomes, installation = _read(), _installation()
    return [record for record in records if not _recalled(record, outcomes, installation)]


def _recalled(record: PluginRecord, outcomes: dict[str, Any], installation: str) -> bool:
    origin = origin_of(record.value)
    outcome = outcomes.get(_key(record, origin)) if origin else None
    if origin is None or outcome is None or not _sound(outcome):
        return False
    if outcome.get("fingerprint") != _fingerprint(record, installation):
        return False
    if outcome["status"] != "ok" and outcome.get("environment") != _environment(record, outcome["error"]):
        record.warn(
            f"could not be loaded at {outcome['checked'].removeprefix('loaded ')} ({first_line(outcome['error'])}); "
            "environment variables that it names have changed since: list-plugins --load tries it again"
        )
        return False
    for name in _REMEMBERED:
        setattr(record, name, outcome[name])
    record.warnings = list(dict.fromkeys([*record.oddities, *record.warnings]))
    record.file = origin
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


def _key(record: PluginRecord, origin: str) -> str:
    return f"{record.key} {origin}"


def _fingerprint(record: PluginRecord, installation: str) -> str:
    """Changes when a file of the plugin, any installed distribution, Python or sea_toolkit changes."""
    facts = [installation, record.version, record.value, stamps(files_of(record))]
    return hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()[:32]


def _installation() -> str:
    facts = [VERSION, sys.version]
    for folder in sys.path:
        with contextlib.suppress(OSError):
            facts += sorted(name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info")))
    return hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()


def _environment(record: PluginRecord, error: str | None) -> str:
    """Changes when an environment variable does that the plugin's code, or the message of its failure, names."""
    named = set(re.findall(r"[A-Za-z_]\w+", error or ""))
    for file in files_of(record):
        if file.suffix == ".py":
            with contextlib.suppress(OSError):
                named |= {word.decode() for word in re.findall(rb"[A-Za-z_]\w+", file.read_bytes())}
    facts = sorted((name, value) for name, value in os.environ.items() if name in named)
    return hashlib.sha256(repr(facts).encode(errors="surrogateescape")).hexdigest()[:32]
