"""A policy's blocks, compiled by torch: one function with dynamic shapes for all of them.

Inductor in its default mode, which joins small kernels; no CUDA graphs. Compiled is what decodes and scores. Prompts
are not: each is read once. Nor are passes with a gradient, since torch goes back through a compiled function only once;
nor passes that are watched, by hooks in the blocks or operation by operation, which cannot be traced as a whole.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks, _global_forward_pre_hooks
from torch.utils._python_dispatch import _get_current_dispatch_mode
from transformers import DynamicCache

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.lm.architecture import FAILURES, agree, is_quantized, probe_ids
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.block_checkpoints import blocks_of
from sea_toolkit.lm.kv_cache import buffered_cache
from sea_toolkit.models.policy_spec import PolicySpec

BACKEND: str | Callable[..., Any] = "inductor"
_RUN = (lambda run, args, options: run(*args, **options)).__code__
"""What is compiled, of which each kind of pass has a copy: torch keeps what it has made by code object."""

_HINT = "leave out policy.compile"


class _OneLayer:
    """A cache as one block sees it: all blocks are the same to the compiler only if none says which it is."""

    def __init__(self, layer: Any) -> None:
        self.layer = layer

    def update(self, keys: Tensor, values: Tensor, *which: Any, **options: Any) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = self.layer.update(keys, values)
        return found


class CompiledBlocks:
    """The compiled function of a model's blocks. There is one for each kind of pass, so that torch's own bound on
    recompilations (8 for a function) bounds each kind; a kind that needs more goes on uncompiled.

    Args:
        backbone: whose blocks.
        backend: of `torch.compile`; None is inductor.

    Raises:
        ModelError: its blocks are not one list, or it has no keys and values that answers share.
    """

    def __init__(self, backbone: Backbone, backend: str | Callable[..., Any] | None = None) -> None:
        self._blocks, self._what = blocks_of(backbone.base), f"{backbone.name} ({type(backbone.base).__name__})"
        self._backend, self._functions = backend or BACKEND, dict[Any, Callable[..., Any] | None]()
        if not self._blocks or not backbone.shares_prefix:
            raise ModelError(
                f"the blocks of {self._what} cannot be compiled one by one",
                expected="one list of blocks, and keys and values that answers share with their prompt",
                hint=_HINT,
            )
        if any(map(_hooked, map(_inside, self._blocks))):
            raise ModelError(
                f"the blocks of {self._what} have hooks, and would never run compiled",
                expected="no forward hooks within its blocks",
                hint=_HINT,
            )

    def install(self) -> None:
        """Let all blocks run compiled from now on."""
        for number, block in enumerate(self._blocks):
            block.forward = self._forward(number, block)

    def remove(self) -> None:
        """Have the blocks back as they were."""
        for block in self._blocks:
            vars(block).pop("forward", None)

    def failed(self, error: Exception) -> ModelError:
        """What to raise where compiling has failed."""
        said = " ".join(line.strip() for line in str(error).splitlines()[:2])  # the second says what a backend raised
        return ModelError(
            f"the blocks of {self._what} cannot be compiled: {type(error).__name__}: {said}",
            expected="a C++ compiler (Triton on a GPU), and blocks that torch.compile can trace as a whole",
            hint=_HINT,
        )

    def _forward(self, number: int, block: nn.Module) -> Callable[..., Any]:
        from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

        run, parts = block.forward, _inside(block)

        @wraps(run)
        def forward(*args: Any, **options: Any) -> Any:
            caches = [value for value in (*args, *options.values()) if isinstance(value, DynamicCache)]
            empty = any(len(cache.layers) <= number for cache in caches)
            if empty or torch.is_grad_enabled() or _is_watched(parts):
                return run(*args, **options)
            kind = (*(type(cache.layers[number]) for cache in caches), *(value.shape[1] == 1 for value in args[:1]))
            if kind in self._functions and self._functions[kind] is None:
                return run(*args, **options)
            # the first block may be given a view, and would have a graph of its own
            given = tuple(a.contiguous() if isinstance(a, Tensor) else _own(a, number) for a in args)
            try:
                function = self._functions[kind] = self._functions.get(kind) or self._compiled()
                return function(run, given, {key: _own(value, number) for key, value in options.items()})
            except (FailOnRecompileLimitHit, TorchDynamoException, OSError) as error:  # kernels are written to the disk
                if "RecompileLimit" not in type(error).__name__:  # torch 2.6 calls it RecompileLimitExceeded
                    raise self.failed(error) from error
                self._functions[kind] = None
                return run(*args, **options)

        return forward

    def _compiled(self) -> Callable[..., Any]:
        own = FunctionType(_RUN.replace(), {"__name__": __name__, "__builtins__": builtins})
        compiled: Callable[..., Any] = torch.compile(own, dynamic=True, fullgraph=True, backend=self._backend)
        return compiled


def _inside(block: nn.Module) -> list[nn.Module]:
    """The parts of a block. Hooks of its own run around what is compiled."""
    return [part for child in block.children() for part in child.modules()]


def _hooked(parts: list[nn.Module]) -> bool:
    return any(part._forward_hooks or part._forward_pre_hooks for part in parts)


def _is_watched(parts: list[nn.Module]) -> bool:
    everywhere = _global_forward_hooks or _global_forward_pre_hooks
    return _get_current_dispatch_mode() is not None or bool(everywhere) or _hooked(parts)


def _own(value: Any, number: int) -> Any:
    return _OneLayer(value.layers[number]) if isinstance(value, DynamicCache) else value


def refuse_beside(spec: PolicySpec) -> None:
    """Raises: RecipeError if the policy has a setting that blocks are not compiled with."""
    others = spec.model_dump(include={"quantization", "device_map", "tensor_parallel_size"})
    for key in (key for key, value in others.items() if value not in (None, 1)):
        raise RecipeError(f"the policy has compile and {key}", expected="one of them", hint=_HINT)


def compile_blocks(backbone: Backbone) -> None:
    """Compile the blocks of a policy, and try them on a few tokens: some that are scored, and some that are decoded.

    Raises:
        ModelError: they cannot be compiled, or say something else than they say uncompiled.
    """
    if is_quantized(backbone.base):
        raise ModelError(
            f"{backbone.name} is quantized, and its blocks are to be compiled",
            expected="weights in floating point",
            hint=_HINT,
        )
    blocks, right = CompiledBlocks(backbone), _tried(backbone)
    blocks.install()
    try:
        found = _tried(backbone)
    except FAILURES as error:
        raise blocks.failed(error) from error
    if not all(agree(mine, other, other.dtype) for mine, other in zip(found, right, strict=True)):
        raise ModelError(
            f"the blocks of {backbone.name} say something else when they are compiled",
            expected="the same hidden states, but for rounding",
            hint=_HINT,
        )


@torch.no_grad()
def _tried(backbone: Backbone) -> list[Tensor]:
    """States of three answers of 4 tokens behind a prompt of 5, and of two tokens that are decoded one by one."""
    ids = probe_ids(backbone.embedding)
    prefix = backbone.prefix([ids[0, :5].tolist()])
    embeds = backbone.embedding(torch.stack([ids[0, 5:9], ids[0, 6:10], ids[0, 7:11]])[None])
    cache = buffered_cache(prefix.rows(3), 2)
    seen, places = (torch.full((3, 1), place, device=ids.device) for place in (1, 5))
    after = [backbone.run(embeds[0, :, n, None], seen.expand(3, 6 + n).bool(), places + n, cache) for n in range(2)]
    return [backbone.hidden(prefix, embeds), *after]
