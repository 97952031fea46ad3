"""The language model that an energy asks: the policy itself, or another one that a run loads once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.meter import parameters_used
from sea_toolkit.core.response import fit_rows
from sea_toolkit.lm.fingerprint import same_vocabulary
from sea_toolkit.lm.policy import Policy, parameters_of
from sea_toolkit.lm.tokens import TextCodec
from sea_toolkit.models.loading import load_language_model
from sea_toolkit.models.policy_source import find_language_model
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.outlook import Foresight, ModelOutlook, Road
from sea_toolkit.readers.piece_alignment import PieceAlignment
from sea_toolkit.readers.piece_table import PieceTable

_LARGE = 100.0
"""A logit beyond every soft cap."""


def language_model(name: str | None, context: Context) -> Policy:
    """The model of a name, or the policy for None; every model is loaded once, and the policy is reused.

    Raises:
        ModelError: it cannot be found or read.
    """
    policy = context.policy
    if name is None:
        return policy
    source = find_language_model(name, context.finder)
    if str(source) == policy.model.name_or_path:
        return policy
    finder, date = context.finder, None if policy.chat is None else policy.chat.date
    return finder.load_once(
        ("language model", source, policy.device, policy.dtype, date),
        lambda: load_language_model(source, policy, name, trust_remote_code=finder.trust_remote_code),
    )


def language_model_outlook(
    name: str | None, foresight: Foresight, ledger_name: str, *, more: int = 0, has_head: bool = True
) -> tuple[Road, ModelOutlook]:
    """What `language_model` will give, as far as configs and tokenizers tell, and by which road its gradient comes.

    Args:
        name: of the model; None for the policy.
        foresight: of the recipe.
        ledger_name: in the ledger, before the model's name.
        more: tokens that it reads beside each answer.
        has_head: whether each of these tokens meets the head.

    Raises:
        ModelError: it cannot be found, or its config not be read.
    """
    source = None if name is None else find_language_model(name, foresight.finder)
    if name is None or source is None or source == foresight.source:
        key, place = ("policy", None), foresight.place
        road: Road = "policy"
        model = ModelOutlook(
            f"{ledger_name}:{foresight.name}",
            key,
            parameters_used(foresight.policy),
            0.0,
            place,
            foresight.policy,
            more,
        )
    else:
        tokenizer = read_tokenizer(source, name, trust_remote_code=foresight.finder.trust_remote_code)
        road = foresight.road(tokenizer)
        model = foresight.model("causal", source, name, f"{ledger_name}:{name}", more=more)
    return road, model if has_head else replace(model, parameters=parameters_of(model.skeleton)[0])


def same_tokens(lm: Policy, policy: Policy) -> bool:
    """Whether each token id stands for the same text in both, so that `lm` can read the policy's relaxed answers."""
    return lm is policy or same_vocabulary(lm.tokenizer, policy.tokenizer)


def aligned_with(
    tokenizer: Any, table: Float[Tensor, "rows D"], name: str, source: Path | str, context: Context
) -> tuple[PieceAlignment, list[str]]:
    """From the policy's tokens to those of another model, and what a person should know of it.

    Args:
        tokenizer: the model's.
        table: its embedding.
        name: the model's.
        source: where it comes from.
        context: of the run.
    """
    pieces = pieces_of(tokenizer, source, context)
    rows = images(table, pieces, ("table", source), context)
    return PieceAlignment(context.policy, rows), [] if pieces is None else [pieces.note(name)]


def pieces_of(tokenizer: Any, source: Path | str, context: Context) -> PieceTable | None:
    """The policy's tokens in the pieces of another tokenizer; None where each token is one of its own."""
    policy = context.policy
    if same_vocabulary(tokenizer, policy.tokenizer):
        return None
    return context.finder.load_once(
        ("pieces", source, policy.name),
        lambda: PieceTable.between(policy.tokenizer, tokenizer, policy.vocab_size),
    )


def images(
    table: Float[Tensor, "rows D"], pieces: PieceTable | None, key: tuple[Hashable, ...], context: Context
) -> Float[Tensor, "V D"]:
    """What each token of the policy stands for in a table of another model.

    Args:
        table: with a row for each of that model's tokens.
        pieces: see `pieces_of`.
        key: which table it is.
        context: of the run.
    """
    policy = context.policy
    if pieces is None:
        return rows_for(table, policy)
    return context.finder.load_once((*key, policy.name, policy.device, policy.dtype), lambda: pieces.embeddings(table))


def rows_for(table: Float[Tensor, "rows D"], policy: Policy) -> Float[Tensor, "V D"]:
    """A table of another model with a row for each entry of the policy's vocabulary, which may be padded otherwise."""
    return fit_rows(table, policy.vocab_size)


def linear_head(lm: Policy) -> Float[Tensor, "rows D"] | None:
    """The weights W of a head whose logits are W · h, or None if the head has soft caps, scales or biases."""
    output = lm.model.get_output_embeddings()
    if output is None or len(output.weight) != lm.vocab_size:
        return None
    weight = output.weight.detach()
    if weight.data_ptr() == lm.table.data_ptr() and weight.shape == lm.table.shape:
        weight = lm.table
    rows = weight[:4].float()
    hidden = torch.cat(
        [torch.zeros_like(rows[:1]), _LARGE * rows / rows.square().sum(-1, keepdim=True).clamp(min=1e-9)]
    )
    hidden = hidden.to(weight.dtype)
    with torch.no_grad():
        logits = lm.logits(hidden)
        gap = torch.where(logits.isneginf(), 0.0, logits - hidden.float() @ weight.float().T).abs()
    exact = float(gap[0].max()) <= 1e-6 and float(gap.max()) <= 0.02 * _LARGE
    return weight if exact else None


def text_ids(
    codec: TextCodec, texts: Sequence[str], device: torch.device
) -> tuple[Int[Tensor, "N 1 T"], Bool[Tensor, "N 1 T"]]:
    """N texts as token ids without an end of text, and the mask of the tokens; at least one position."""
    rows = codec.encode(texts)
    width = max(1, *map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids[:, None], (torch.arange(width, device=device) < lengths[:, None])[:, None]


def prompt_indices(prompts: Sequence[str], wanted: Sequence[str], device: torch.device) -> Int[Tensor, " N"]:
    """For each wanted prompt its index among the run's prompts."""
    index = {prompt: i for i, prompt in enumerate(prompts)}
    return torch.tensor([index[prompt] for prompt in wanted], device=device)


def text_only(energy: str, model: str, reason: str) -> str:
    """The note of a run whose `energy` has no gradient."""
    return f"{energy}: {model} {reason}, so this energy scores texts only and has no gradient"
