"""Which model this is: vocabulary, sizes, what it makes of a sentence, or all of its weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers import PreTrainedModel

from sea_toolkit.core.ranks import whole
from sea_toolkit.lm.adapted import adapter_settings
from sea_toolkit.lm.architecture import accepted
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.lm.truncate import count_layers

SENTENCE = "The old house stood by the river, and its windows were open."

_UNRELATED = ("dtype", "torch_dtype", "transformers_version", "distributed_config")
"""Config entries without effect on the outputs; dtype and versions are compared separately, and how a model is shared
out over processes is the recipe's."""

_FINGERPRINTS: WeakKeyDictionary[Any, tuple[int, str]] = WeakKeyDictionary()
"""Tokenizer to how many tokens it had, and its fingerprint then."""


@dataclass(frozen=True)
class ModelFacts:
    """What a probe depends on, as far as it is known without running the model.

    Attributes:
        name: for messages.
        model_type: of its config.
        hidden_size: of its hidden states.
        layers: how many blocks it has.
        vocabulary: a hash of every token and its id.
    """

    name: str
    model_type: str
    hidden_size: int
    layers: int
    vocabulary: str


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """SHA-256 of the vocabulary, token by token with its id: two tokenizers with the same one share token
    ids.

    Settings that do not change what an id stands for (the chat template, which token pads) do not enter. It takes 0.2 s
    for 50 000 tokens, and every reward of every run asks for it: so it is kept until tokens are added.
    """
    size, digest = _FINGERPRINTS.get(tokenizer, (0, ""))
    if size != len(tokenizer):
        vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda pair: (pair[1], pair[0]))
        digest = hashlib.sha256(json.dumps(vocabulary, ensure_ascii=True).encode()).hexdigest()
        _FINGERPRINTS[tokenizer] = len(tokenizer), digest
    return digest


def same_vocabulary(reader: Any, policy: Any) -> bool:
    """Whether `reader` can be given the ids of texts that `policy` tokenized: each token has the same id in both.

    The reader may have more tokens (a padding token that training added), and it may lack special tokens of the policy,
    which stand in no text. A reader that lacks a text token has another vocabulary.
    """
    if tokenizer_fingerprint(reader) == tokenizer_fingerprint(policy):
        return True
    known, own = reader.get_vocab(), policy.get_vocab()
    special = {*policy.all_special_tokens}
    special |= {str(token.content) for token in policy.added_tokens_decoder.values() if token.special}
    shared = own.keys() & known.keys()
    taken = {i: token for token, i in known.items()}
    return (
        bool(shared)
        and all(own[token] == known[token] for token in shared)
        and all(token in special and own[token] not in taken for token in own.keys() - known.keys())
    )


def model_facts(model: Any, tokenizer: Any, name: str) -> ModelFacts:
    """The facts of a transformers model with its tokenizer; `name` is for messages."""
    config = model.config.get_text_config()
    return ModelFacts(
        name, config.model_type, config.hidden_size, count_layers(model), tokenizer_fingerprint(tokenizer)
    )


@torch.no_grad()
def state_sample(view: Any, tokenizer: Any, device: torch.device | str) -> Float[Tensor, " D"]:
    """The hidden state of the last token of a fixed sentence; float32 on the CPU.

    All weights that a probe reads take part in it, and other weights give another one. It is compared with a tolerance,
    since the same weights may come in another precision.

    Args:
        view: the first blocks of a model (see `truncate`).
        tokenizer: the model's.
        device: of the model.
    """
    opening, _ = wrapping(tokenizer)
    ids = [*opening, *tokenizer(SENTENCE, add_special_tokens=False).input_ids]
    states = view(input_ids=torch.tensor([ids], device=device), **accepted(view, use_cache=False))[0]
    sample: Tensor = states[0, -1].float().cpu()
    return sample


def weights_fingerprint(model: nn.Module) -> str:
    """SHA-256 over a model's class, its config if it is one of transformers, and every byte of its weights.

    It takes 0.2 s for 135 million parameters in bfloat16 on a CPU with SHA instructions, about 10 s for 7 billion. So
    it is asked for only where something is written.
    """
    config = model.config.to_dict() if isinstance(model, PreTrainedModel) else {}
    told = {k: v for k, v in config.items() if not k.startswith("_") and k not in _UNRELATED}
    digest = hashlib.sha256(json.dumps([type(model).__name__, told], sort_keys=True, default=str).encode())
    settings = adapter_settings(model)
    if settings:
        digest.update(json.dumps(settings, sort_keys=True).encode())
    for name, weight in sorted(model.state_dict().items()):
        for part, tensor in _parts(name, whole(weight.detach())):
            digest.update(f"{part}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _parts(name: str, weight: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A weight, or the tensors that it is made of: quantized weights (torchao) are numbers and their scales."""
    if not is_traceable_wrapper_subclass(weight):
        yield name, weight
        return
    inner, settings = weight.__tensor_flatten__()
    for part in inner:
        yield from _parts(f"{name}.{type(weight).__name__}.{part} {settings}", vars(weight)[part])


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


def digest_of(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the facts and of names, dtypes, shapes and bytes of the tensors."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
