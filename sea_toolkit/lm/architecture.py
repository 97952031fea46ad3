"""Which part of a transformers model is its base, what the head makes of it, and a check of the two.

`base_model_prefix` names the base of most models, not of all (OPT's head calls `model.decoder`, Llama 4's `model`). So
the model is run once on a few tokens, and the base is the module that was really called. The result is then checked:
the logits of head(base(embeddings)) are those of the model, and a later token changes no earlier logit.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers.utils import ModelOutput

from sea_toolkit.errors import ModelError

PROBE_TOKENS = 12
"""Length of the sequence that a model is tried on."""

FAILURES = (RuntimeError, TypeError, ValueError, AttributeError, LookupError, NotImplementedError, AssertionError)
"""What models raise for calls that they do not support."""

HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
"""Where a module keeps its hooks."""


_DISPATCH = ("forward", "_hf_hook", "_old_forward")
"""What accelerate hangs on a module whose weights it has spread over devices."""


@dataclass(frozen=True)
class Anatomy:
    """A causal LM, taken apart.

    Attributes:
        base: the module between the token embedding and the head.
        embedding: the token embedding.
        head: a view of the model that takes final hidden states as `inputs_embeds`.
        vocab_size: logits per position.
    """

    base: nn.Module
    embedding: nn.Module
    head: nn.Module
    vocab_size: int

    @property
    def weight(self) -> Tensor:
        """Of the token embedding."""
        return self.embedding.weight  # type: ignore[return-value]


def _given_hidden(base: nn.Module, like: Any) -> nn.Module:
    """A view of the base that returns the hidden states it is given, in an output of the base's own type."""

    def forward(*args: Any, inputs_embeds: Tensor, **kwargs: Any) -> Any:
        return like(inputs_embeds)

    view: nn.Module = with_modules(base, {})
    view.forward = forward
    return view


def with_modules(model: nn.Module, replacements: Mapping[str, nn.Module]) -> Any:
    """A view of a model in which the modules of the given dotted names are replaced.

    Parameters are shared and the model itself is unchanged. Modules that hold replaced ones lose their hooks in the
    view.
    """
    view = copy.copy(model)
    # nn.Module keeps its children and hooks in dicts, which a shallow copy would share with the original
    view._modules = dict(model._modules)
    if "_hf_hook" in vars(view):  # accelerate's own forward pass, which would call the model itself
        for name in _DISPATCH:
            vars(view).pop(name, None)
    for name in HOOKS:
        setattr(view, name, type(getattr(model, name))())
    inner: dict[str, dict[str, nn.Module]] = {}
    for path, module in replacements.items():
        child, _, rest = path.partition(".")
        if rest:
            inner.setdefault(child, {})[rest] = module
        else:
            view._modules[child] = module
    for child, below in inner.items():
        view._modules[child] = with_modules(model.get_submodule(child), below)
    return view


def dissect(model: Any, name: str) -> Anatomy:
    """Find the base of a causal LM and check it.

    Args:
        model: a transformers causal LM in eval mode.
        name: for messages.

    Raises:
        ModelError: it looks ahead (a masked LM, an encoder), it cannot be split into base and head, or its logits are
            not finite.
    """
    what = f"{name} ({_model_type(model)}, {type(model).__name__})"
    embedding = model.get_input_embeddings()
    ids = probe_ids(embedding)
    calls: dict[str, Any] = {}
    hooks = [
        model.get_submodule(path).register_forward_hook(lambda m, a, out, path=path: calls.setdefault(path, out))
        for path in holders(model, embedding)
        if path
    ]
    try:
        logits = _logits(model, ids)
    except FAILURES as error:
        raise ModelError(
            f"{what} cannot be run on token ids alone: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            expected="a causal language model that needs nothing but text",
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    require_distribution(logits, what, "a few tokens")
    _require_causal(model, ids, logits, what)
    problems = []
    for path in sorted(calls, key=lambda path: path.count(".")):
        base = model.get_submodule(path)
        head = with_modules(model, {path: _given_hidden(base, _maker(calls[path]))})
        problem = _difference(base, embedding, head, ids, logits)
        if problem is None:
            return Anatomy(base, embedding, head, logits.shape[-1])
        problems.append(f"{path}: {problem}")
    raise ModelError(
        f"{what} cannot be split into a base that takes embeddings and a head: "
        + ("; ".join(problems) or "no module holds the token embedding and is called"),
        expected="logits that are made of the token embeddings alone",
        hint="another model; the table of docs/models.md lists the architectures that work",
    )


def probe_ids(embedding: nn.Module) -> Int[Tensor, "1 n"]:
    """A few ordinary tokens: special ones are at the ends of a vocabulary."""
    weight: Tensor = embedding.weight  # type: ignore[assignment]
    first = max(1, weight.shape[0] // 3)
    return (first + torch.arange(PROBE_TOKENS, device=weight.device) % max(1, weight.shape[0] - first))[None]


@torch.no_grad()
def looks_ahead(base: Any) -> bool:
    """Whether what a base model says of a token depends on those after it, as an encoder's does."""
    ids = probe_ids(base.get_input_embeddings())
    other = ids.clone()
    other[0, -1] = ids[0, 0]
    first, second = (base(input_ids=row, **accepted(base, use_cache=False))[0][0].float() for row in (ids, other))
    moved = (first - second).abs().amax(-1)
    return float(moved[:-1].max()) > 1e-4 * float(moved[-1])


def accepted(module: nn.Module, **options: Any) -> dict[str, Any]:
    """The options that the module's `forward` names."""
    parameters = inspect.signature(module.forward).parameters
    return {key: value for key, value in options.items() if key in parameters}


def require_distribution(logits: Float[Tensor, "*n V"], what: str, after: str) -> None:
    """Refuse a model whose next tokens have no distribution anywhere: all that is made of it would be NaN.

    Args:
        logits: of its next tokens.
        what: the model, for messages.
        after: what it has read.

    Raises:
        ModelError: it is such a model.
    """
    if not bool(logits.logsumexp(-1).isfinite().any()):
        raise ModelError(
            f"{what} gives logits that are not finite (NaN or infinite) after {after}",
            expected="a distribution over tokens",
            hint="the weights are damaged, or their dtype is too narrow: another copy, or --dtype float32",
        )


@torch.no_grad()
def relative_error(tried: Float[Tensor, "*n D"], right: Float[Tensor, "*n D"]) -> Float[Tensor, "*n"]:
    """Distance of two vectors in units of the right one's length, float32; a NaN in both counts as equal."""
    tried, right = tried.float(), right.float()
    same = (tried == right) | (tried.isnan() & right.isnan())
    gap = torch.where(same, 0.0, tried - right).norm(dim=-1)
    return gap / torch.where(right.isfinite(), right, 0.0).norm(dim=-1).clamp(min=1e-12)


def agree(tried: Float[Tensor, "*n D"], right: Float[Tensor, "*n D"], dtype: torch.dtype) -> bool:
    """Whether vectors agree up to rounding. In 16 bits a router may send single tokens to other experts, so that the
    median decides."""
    error = relative_error(tried, right).nan_to_num(torch.inf)
    return bool(error.max() < 1e-3) if dtype.itemsize > 2 else bool(error.median() < 0.15)


def holders(model: nn.Module, embedding: nn.Module) -> list[str]:
    """Names of the modules that hold the token embedding, the model itself ("") first."""
    paths = [path.split(".") for path, module in model.named_modules(remove_duplicate=False) if module is embedding]
    return sorted({".".join(path[:n]) for path in paths for n in range(len(path))})


def _maker(example: Any) -> Any:
    """A function from hidden states to an output of the example's type that holds them alone."""
    if isinstance(example, ModelOutput):
        first = next(iter(example))
        return lambda hidden: type(example)(**{first: hidden})
    if isinstance(example, tuple):
        return lambda hidden: (hidden, *[None] * (len(example) - 1))
    return lambda hidden: hidden


@torch.no_grad()
def _logits(model: Any, ids: Tensor) -> Tensor:
    output = model(input_ids=ids, **accepted(model, use_cache=False))
    logits: Tensor = output[0] if isinstance(output, tuple) else output.logits
    return logits.float()


def _require_causal(model: Any, ids: Tensor, logits: Tensor, what: str) -> None:
    """Change the last token: no earlier logit may move by more than rounding, measured by how the last one moves."""
    other = ids.clone()
    other[0, -1] = ids[0, 0]
    moved = (_logits(model, other) - logits).nan_to_num(0.0, 0.0, 0.0).abs().amax(-1)[0]
    rounding = 1e-3 if next(model.parameters()).dtype.itemsize > 2 and not is_quantized(model) else 0.1
    if float(moved[:-1].max()) > rounding * float(moved[-1]):
        raise ModelError(
            f"{what} looks ahead: a token changes what it says about the tokens before it "
            f"(logits move by up to {float(moved[:-1].max()):.2g})",
            expected="a causal language model, whose logits depend on the tokens before them alone",
            hint="a decoder such as Llama, Qwen or GPT-2; a masked language model cannot write from left to right",
        )


@torch.no_grad()
def _difference(base: nn.Module, embedding: nn.Module, head: nn.Module, ids: Tensor, logits: Tensor) -> str | None:
    """How head(base(embeddings)) differs from the model's own logits; None if they agree."""
    try:
        if not accepted(base, inputs_embeds=None):
            return f"{type(base).__name__} takes no input embeddings"
        hidden = base(inputs_embeds=embedding(ids).clone(), **accepted(base, use_cache=False))[0]
        again = head(inputs_embeds=hidden, **accepted(head, use_cache=False)).logits.float()
        # the hidden states of different texts go through the head side by side
        turned = head(inputs_embeds=hidden.flip(1), **accepted(head, use_cache=False)).logits.float().flip(1)
    except FAILURES as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    dtype = torch.bfloat16 if is_quantized(head) else hidden.dtype
    if not _reads_mixtures(base, embedding, ids):
        return "it looks up token ids beside the embeddings, so that it cannot read a mixture of tokens"
    if again.shape != logits.shape or not agree(again, logits, dtype):
        return "its logits on embeddings are not those on token ids"
    return None if agree(turned, logits, dtype) else "its head looks at more than one position"


def is_quantized(model: Any) -> bool:
    """Whether weights are quantized. In 8 bits activations may be as well, at each call by what is largest in it, so
    that the last digits depend on the company as those of 16 bits do."""
    config = vars(model).get("config")
    return config is not None and "quantization_config" in vars(config)


def _reads_mixtures(base: nn.Module, embedding: nn.Module, ids: Tensor) -> bool:
    """Whether embeddings halfway between two tokens can be read (not where Gemma 4 finds the ids by its embeddings)."""
    embeds = embedding(ids)
    try:
        states = base(inputs_embeds=(embeds + embeds.flip(1)) / 2, **accepted(base, use_cache=False))[0]
    except FAILURES:
        return False
    return bool(states.isfinite().all()) or not bool(embeds.isfinite().all())


def _model_type(model: Any) -> str:
    return str(getattr(getattr(model, "config", None), "model_type", type(model).__name__))
