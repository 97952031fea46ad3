"""Aligned answers through `model.generate(…, custom_generate=function)` of transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from typing_extensions import Unpack

from sea_toolkit.aligner import Aligner, RunSettings
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.tokens import opened
from sea_toolkit.registry.hub import PluginHub

CustomGenerate = Callable[..., Tensor]


def custom_generate(tokenizer: Any, *, hub: PluginHub | None = None, **settings: Unpack[RunSettings]) -> CustomGenerate:
    """A decoding method for `generate` of any causal model of transformers.

    The prompt's ids are read as a text, with the markers of a chat template in it, and rewards see that text. What
    `generate` is told of sampling (`do_sample`, `temperature`, …) is for other methods: the recipe says how
    answers are drawn. `max_new_tokens` counts.

    Args:
        tokenizer: of the model that will generate.
        hub: plugins; by default all that are installed.
        settings: as for `Aligner.align`; `max_new_tokens` comes from `generate`.

    Returns:
        A function that gives the prompt's ids and those of the aligned answer behind them, `[rows, S + T]`; shorter
        answers are padded with the config's pad token, or the one that ends a text.

    Raises:
        RecipeError: (when called) prompt ids that are not those of a text, several answers for a prompt, or as `align`.
    """
    aligners: WeakKeyDictionary[Any, Aligner] = WeakKeyDictionary()

    def decode(model: Any, input_ids: Tensor, generation_config: Any, **others: Any) -> Tensor:
        if model not in aligners:
            policy = Policy(model, tokenizer, name=type(model).__name__, template="plain")
            aligners[model] = Aligner(policy=policy, hub=hub)
        policy = aligners[model].policy
        if generation_config.num_return_sequences > 1 or generation_config.num_beams > 1:
            raise RecipeError("generate is to give several answers for a prompt", expected="num_return_sequences = 1")
        mask = others.get("attention_mask")
        rows = [ids[seen.bool()].tolist() for ids, seen in zip(input_ids, _ones(input_ids, mask), strict=True)]
        prompts = [_text_of(row, policy) for row in rows]
        room = int(generation_config.max_length) - input_ids.shape[1]
        chosen: RunSettings = {**settings, "max_new_tokens": room}
        results = aligners[model].align(prompts, **chosen)
        answers = policy.answers.encode([result.response for result in results])
        ended = [[policy.usual_end] if result.finished[1] else [] for result in results]
        pad = generation_config.pad_token_id
        return _behind(input_ids, [a + e for a, e in zip(answers, ended, strict=True)], policy.eos_ids[0], pad)

    return decode


def _ones(input_ids: Tensor, mask: Tensor | None) -> Tensor:
    return torch.ones_like(input_ids) if mask is None else mask


def _text_of(ids: list[int], policy: Policy) -> str:
    """The text whose tokens, opened as the tokenizer opens texts, are these.

    Raises:
        RecipeError: there is none.
    """
    whole = policy.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    begin = policy.tokenizer.bos_token or ""
    for text in (whole, whole.removeprefix(begin)):
        if text.strip() and opened(policy.tokenizer, text) == ids:
            return str(text)
    raise RecipeError(
        f"the prompt's ids are not those of its text {whole[:80]!r}",
        expected="ids that the model's tokenizer has made of a text, padded on the left",
    )


def _behind(input_ids: Tensor, answers: list[list[int]], end: int, pad: int | None) -> Tensor:
    """The prompts with their answers, `[rows, S + T]`."""
    width = max(map(len, answers))
    filler = end if pad is None else pad
    rows = [answer + [filler] * (width - len(answer)) for answer in answers]
    return torch.cat([input_ids, torch.tensor(rows, dtype=input_ids.dtype, device=input_ids.device)], dim=1)
