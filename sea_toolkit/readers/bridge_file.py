"""Measured bridges in the cache, each under a hash of all that it depends on."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from sea_toolkit.lm.fact_file import packed, unpacked
from sea_toolkit.lm.fingerprint import digest_of, tokenizer_digest, weights_fingerprint
from sea_toolkit.lm.policy import Policy
from sea_toolkit.readers.bridge import Bridge, Measured
from sea_toolkit.readers.fidelity import Correlations, Fidelity
from sea_toolkit.readers.piece_table import PieceTable
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.word_prior import WordPrior
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.json_text import parse_json
from sea_toolkit.util.paths import cache_folder

FORMAT = "sea_toolkit bridge 1"
"""Changes with the way a bridge is measured."""


def bridge_key(reader: ClassifierReader, policy: Policy) -> str:
    """SHA-256 of both models, their tokenizers, and how a text is put to each."""
    shown = reader.shown
    parts = {
        "format": FORMAT,
        "policy": weights_fingerprint(policy.model),
        "policy tokens": tokenizer_digest(policy.tokenizer),
        "policy prompt": policy.encode(["a"], 1),
        "classifier": weights_fingerprint(reader.model),
        "classifier tokens": tokenizer_digest(shown.tokenizer),
        "shown": [shown.reads, shown.text("a", "b"), shown.limit, shown.truncate],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def bridge_path(key: str) -> Path:
    """Where the bridge with this key is kept."""
    return cache_folder() / "bridges" / f"{key}.safetensors"


def write_bridge(reader: ClassifierReader, policy: Policy, bridge: Bridge) -> None:
    """Keep a measured bridge. Where the cache cannot be written, it is measured again the next time."""
    measured = bridge.measured
    assert measured is not None
    tensors = measured.prior.tensors() | bridge.pieces.tensors()
    facts: dict[str, Any] = {
        "format": FORMAT,
        "fidelity": [asdict(fidelity) for fidelity in measured.fidelity],
        "probability": measured.probability,
    }
    content = packed("bridge", facts, tensors)
    with contextlib.suppress(OSError):
        write_whole(bridge_path(bridge_key(reader, policy)), content)


def read_bridge(reader: ClassifierReader, policy: Policy) -> Bridge | None:
    """The measured bridge of a pair; None if there is none, or not the one that was written."""
    from safetensors import SafetensorError

    try:
        tensors, metadata = unpacked(bridge_path(bridge_key(reader, policy)))
        facts = parse_json(metadata["bridge"])
        written = facts.pop("sha256")
        if facts["format"] != FORMAT or written != digest_of(facts, tensors):
            return None
        pieces = PieceTable.of_tensors(tensors)
        prior = WordPrior(**{field.name: tensors[field.name].to(policy.device) for field in fields(WordPrior)})
        fidelity = [_fidelity(**row) for row in facts["fidelity"]]
        one, several, none = facts["probability"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    return Bridge.by_table(pieces, reader, policy, Measured(prior, fidelity, (one, several, none)))


def _fidelity(all: dict[str, float], several: dict[str, float] | None, ceiling: float) -> Fidelity:
    return Fidelity(Correlations(**all), None if several is None else Correlations(**several), ceiling)
