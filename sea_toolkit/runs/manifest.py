"""Who took part in a run: versions, plugins with their distributions, and a fingerprint of every model's weights."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from sea_toolkit.lm.fingerprint import tokenizer_digest, weights_fingerprint
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.records import CORE
from sea_toolkit.registry.static.files import content_digest
from sea_toolkit.util.version import VERSION

if TYPE_CHECKING:
    from sea_toolkit.registry.items import Item
    from sea_toolkit.registry.records import PluginRecord
    from sea_toolkit.runs.compose import Composition

PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "pluggy")
"""Those whose version may change what a run gives."""


def reading(policy: Policy) -> dict[str, Any]:
    """How a text is put to a policy: tokenizer, chat template and its values, and the tokens that end an answer."""
    chat = policy.chat
    return {
        "tokenizer": tokenizer_digest(policy.tokenizer),
        "template": policy.template if chat is None else hashlib.sha256(chat.written.encode()).hexdigest(),
        "template_options": {} if chat is None else chat.options,
        "system": None if chat is None else chat.system,
        "date": chat.date.isoformat() if chat is not None and chat.reads_date else None,
        "end_of_text": list(policy.eos_ids),
    }


def prompts_digest(problem: Problem) -> str:
    """SHA-256 of the prompts' token ids, as the policy reads them."""
    prefix = problem.prompt_prefix
    rows = [ids[mask].tolist() for ids, mask in zip(prefix.ids, prefix.mask, strict=True)]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def manifest(problem: Problem, composition: Composition, sampler: str) -> dict[str, Any]:
    """What a run depends on: `identity` is what a resumed run must share, `loaded` every plugin in the process."""
    models = {"policy": weights_fingerprint(problem.policy.model)}
    models |= {f"policy, {what}": commit for what, commit in problem.policy.commits.items()}
    for t in problem.terms:
        models |= {f"{t.label}, {m.name}": weights_fingerprint(m.module) for m in t.meter.models}
        if t.bound.fingerprint is not None:
            models[t.label] = hashlib.sha256(t.bound.fingerprint.encode()).hexdigest()
        if t.compass is not None:
            models[f"{t.label}, compass"] = t.compass.fingerprint
    return {
        "identity": {
            **versions(composition),
            "models": models,
            "reading": {**reading(problem.policy), "prompts": prompts_digest(problem)},
            "device": problem.policy.device.type,
            "dtype": str(problem.policy.dtype).removeprefix("torch."),
        },
        "policy": problem.policy.name,
        "sampler": sampler,
        "seed": composition.recipe.seed,
        "loaded": [_loaded(r) for r in composition.hub.records if r.distribution != CORE and r.status != "not loaded"],
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": str(problem.policy.device),
        "threads": torch.get_num_threads(),
    }


def versions(composition: Composition) -> dict[str, Any]:
    """Of the toolkit, of the packages that compute, and of the plugins that a composition uses, with their code."""
    return {
        "sea_toolkit": VERSION,
        "plugins": {item.qualified: _used(item) for item in composition.items},
        "packages": {name: version(name) for name in PACKAGES},
    }


def _used(item: Item) -> dict[str, Any]:
    facts = {"kind": item.kind, "distribution": item.distribution, "version": item.version}
    return facts if item.distribution == CORE else {**facts, "code": content_digest(item.record)}


def _loaded(record: PluginRecord) -> dict[str, Any]:
    facts = {"plugin": record.key, "version": record.version, "status": record.status, "code": content_digest(record)}
    return {**facts, "file": record.value} if record.from_user and record.file else facts
