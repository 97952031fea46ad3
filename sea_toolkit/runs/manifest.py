"""Who took part in a run: versions, plugins with their distributions, and a fingerprint of every model's weights."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.records import CORE
from sea_toolkit.registry.static.files import content_digest
from sea_toolkit.util.version import VERSION

if TYPE_CHECKING:
    from sea_toolkit.registry.items import Item
    from sea_toolkit.registry.records import PluginRecord
    from sea_toolkit.runs.compose import Composition

_PIECE = 1 << 20
"""Words that are read at once, so that no copy of a large tensor is made."""

_UNRELATED = ("dtype", "torch_dtype", "transformers_version")
"""Config entries without effect on the outputs; dtype and versions are compared separately."""


def weights_fingerprint(model: nn.Module) -> str:
    """SHA-256 over a model's class, its config if it is one of transformers, and names, types, shapes and checksums of
    all weights: every byte of them counts."""
    config = model.config.to_dict() if isinstance(model, PreTrainedModel) else {}
    told = {k: v for k, v in config.items() if not k.startswith("_") and k not in _UNRELATED}
    digest = hashlib.sha256(json.dumps([type(model).__name__, told], sort_keys=True, default=str).encode())
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(weight.shape)}{weight.dtype}{checksum(weight)}".encode())
    return digest.hexdigest()


@torch.no_grad()
def checksum(tensor: Tensor) -> int:
    """Σ wᵢ·mᵢ mod 2⁶⁴ over a tensor's bytes as 64-bit words wᵢ, with odd multipliers mᵢ that depend on the place.

    One word that differs always shows, several all but surely. It is no protection against somebody who wants two
    models to have the same one. It reads memory as fast as it can be read, on the device where the tensor is: SHA-256
    would take a minute for a large model.
    """
    data = tensor.detach().contiguous().flatten().view(torch.uint8)
    data = torch.nn.functional.pad(data, (0, -len(data) % 8)) if len(data) % 8 else data
    total, seed = 0, 0x9E3779B97F4A7C15
    for begin in range(0, len(data) // 8, _PIECE):
        words = data[8 * begin : 8 * (begin + _PIECE)].view(torch.int64)
        places = torch.arange(begin, begin + len(words), device=data.device)
        # the low bits of a product know the low bits of its factors alone: shift the high ones down
        mixed = places * (seed - (1 << 64))
        mixed = (mixed ^ (mixed >> 29)) * 0x2545F4914F6CDD1D
        total += int((words * (mixed | 1)).sum())
    return total % (1 << 64)


def tokenizer_digest(tokenizer: Any) -> str:
    """SHA-256 of all that decides how a text is cut: of a fast tokenizer its rules too, not only its vocabulary. How
    rows are padded or truncated does not matter here."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        told: Any = [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())]
    else:
        told = json.loads(backend.to_str())
        told.update(padding=None, truncation=None)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


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
    used = {item.qualified: _used(item) for item in composition.items}
    models = {"policy": weights_fingerprint(problem.policy.model)}
    for t in problem.terms:
        models |= {f"{t.label}, {m.name}": weights_fingerprint(m.module) for m in t.meter.models}
        if t.bound.fingerprint is not None:
            models[t.label] = hashlib.sha256(t.bound.fingerprint.encode()).hexdigest()
    packages = {name: version(name) for name in ("torch", "transformers", "tokenizers", "safetensors", "pluggy")}
    return {
        "identity": {
            "sea_toolkit": VERSION,
            "plugins": used,
            "models": models,
            "reading": {**reading(problem.policy), "prompts": prompts_digest(problem)},
            "device": problem.policy.device.type,
            "dtype": str(problem.policy.dtype).removeprefix("torch."),
            "packages": packages,
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


def _used(item: Item) -> dict[str, Any]:
    facts = {"kind": item.kind, "distribution": item.distribution, "version": item.version}
    return facts if item.distribution == CORE else {**facts, "code": content_digest(item.record)}


def _loaded(record: PluginRecord) -> dict[str, Any]:
    facts = {"plugin": record.key, "version": record.version, "status": record.status, "code": content_digest(record)}
    return {**facts, "file": record.value} if record.from_user and record.file else facts


def differences(then: dict[str, Any], now: dict[str, Any], path: str = "") -> list[str]:
    """What changed between two identities, one line each."""
    lines = []
    for key in sorted(set(then) | set(now)):
        a, b, where = then.get(key), now.get(key), f"{path}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{where}.")
        elif a != b:
            lines.append(f"{where}: {_short(a)} then, {_short(b)} now")
    return lines


def _short(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= 40 else text[:12] + "…"
