"""The first blocks of a language model or encoder as a module of their own, sharing every parameter with it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import FAILURES, HOOKS, accepted, agree, holders, probe_ids, with_modules

_ONE_AT_A_TIME = threading.RLock()
"""Held while a model has hooks that it is going to lose: another thread would lose them too."""


def count_layers(model: Any) -> int:
    """How many blocks a transformers model has."""
    return int(model.config.get_text_config().num_hidden_layers)


def truncate(model: Any, layers: int) -> nn.Module:
    """A view of the base model that runs its first `layers` blocks: nothing is copied, the model is untouched.

    Call it as the base model (`input_ids` or `inputs_embeds`, `attention_mask`, `position_ids`); its
    `last_hidden_state` equals the full model's `hidden_states[layers]`, which is tried on a few tokens. So there is no
    final norm, except with all blocks, where transformers norms the last entry.

    Args:
        model: a transformers causal LM, encoder or base model.
        layers: 1 to the number of its blocks.

    Raises:
        ModelError: there are fewer blocks, or the view's output is not that hidden state.
    """
    view = first_blocks(model, layers)
    _check(model, view, _hidden_states(model, layers), layers)
    return view


@contextmanager
def asked_for_states(model: nn.Module) -> Iterator[None]:
    """Within the block, a model may be asked for hidden states; behind it, it is as it was.

    The first time that it is asked, transformers hangs hooks on its blocks and attentions, for good. All later passes
    would run them, a view of the same blocks would hook them once more, and torch could not compile them.
    """
    with _ONE_AT_A_TIME:
        known = [(part, set(vars(part)), {name: set(vars(part)[name]) for name in HOOKS}) for part in model.modules()]
        try:
            yield
        finally:
            for part, names, hooks in known:
                for name in set(vars(part)) - names:
                    delattr(part, name)
                for name, before in hooks.items():
                    for key in set(vars(part)[name]) - before:
                        del vars(part)[name][key]


def first_blocks(model: Any, layers: int) -> Any:
    """The same without a trial, for a caller that knows what the view has to give.

    Raises:
        ModelError: there are fewer blocks, or they are not understood.
    """
    total = count_layers(model)
    if not 1 <= layers <= total:
        raise ModelError(f"layer {layers} was asked of a model with {total} layers", expected=f"1 to {total}")
    base, blocks = _blocks(model, total)
    return base if layers == total else _cut(base, blocks, layers)


def last_block(model: Any) -> nn.Module:
    """The last block of a transformers model, with or without a head.

    Raises:
        ModelError: its blocks are not understood.
    """
    base, blocks = _blocks(model, count_layers(model))
    return list(base.get_submodule(blocks))[-1]


def _blocks(model: Any, total: int) -> tuple[Any, str]:
    """The innermost module that holds the token embedding and one list of all blocks, and where in it the list is."""
    for path in sorted(holders(model, model.get_input_embeddings()), key=len, reverse=True):
        module = model.get_submodule(path)
        lists = [n for n, m in module.named_modules() if isinstance(m, nn.ModuleList) and len(m) == total]
        # a decoder has its blocks beside the embedding, an encoder such as BERT one module deeper
        lists = [n for n in lists if "." not in n] or lists
        if len(lists) == 1:
            return module, lists[0]
    raise _not_understood(model, f"no one list of {total} blocks")


def _cut(base: Any, blocks: str, layers: int) -> Any:
    """The base with its first blocks, whose output is that of the last of them."""
    kept = nn.ModuleList(list(base.get_submodule(blocks))[:layers])
    view = with_modules(base, {blocks: kept})
    view.config = _shallower(base.config, layers)
    run = view.forward

    @wraps(run)
    def forward(*args: Any, **kwargs: Any) -> Any:
        states: list[Tensor] = []
        # norms and projections after the blocks differ in place between architectures: they run, and their output is
        # dropped
        hook = kept[-1].register_forward_hook(
            lambda module, inputs, output: states.append(output if isinstance(output, Tensor) else output[0])
        )
        try:
            output = run(*args, **kwargs)
        finally:
            hook.remove()
        return _with_last(output, states[-1])

    view.forward = forward
    return view


def _with_last(output: Any, last: Tensor) -> Any:
    """An output of the base with the given hidden states as its last ones."""
    if isinstance(output, tuple):
        return (last, *output[1:])
    output["last_hidden_state"] = last
    if output.get("hidden_states") is not None:
        output["hidden_states"] = (*output["hidden_states"][:-1], last)
    return output


def _shallower(config: Any, layers: int) -> Any:
    config = copy.deepcopy(config)
    text = config.get_text_config()
    kinds = getattr(text, "layer_types", None)
    text.num_hidden_layers = layers
    if kinds:
        with suppress(AttributeError):  # some configs derive the kinds from the number
            text.layer_types = list(kinds)[:layers]
    return config


@torch.no_grad()
def _hidden_states(model: Any, layers: int) -> Tensor:
    """The model's own hidden states of a few tokens after that many blocks."""
    ids = probe_ids(model.get_input_embeddings())
    try:
        with asked_for_states(model):
            full = model(input_ids=ids, output_hidden_states=True, **accepted(model, use_cache=False)).hidden_states
    except FAILURES as error:
        raise _failed(model, error) from error
    if full is None or len(full) <= layers:
        raise _not_understood(model, f"it does not give hidden_states[{layers}]")
    right: Tensor = full[layers]
    return right


@torch.no_grad()
def _check(model: Any, view: Any, right: Tensor, layers: int) -> None:
    embedding = model.get_input_embeddings()
    try:
        mine = view(inputs_embeds=embedding(probe_ids(embedding)), **accepted(view, use_cache=False))[0]
    except FAILURES as error:
        raise _failed(model, error) from error
    if mine.shape != right.shape or not agree(mine, right, mine.dtype):
        raise _not_understood(model, f"what its first {layers} blocks give is not hidden_states[{layers}]")


def _failed(model: Any, error: Exception) -> ModelError:
    return _not_understood(model, f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")


def _not_understood(model: Any, why: str) -> ModelError:
    return ModelError(
        f"the blocks of {type(model).__name__} are not understood: {why}",
        expected="one list of blocks, each of which gives the hidden states that the next one takes",
        hint="use a sequence-classification reward model instead of a probe",
    )
