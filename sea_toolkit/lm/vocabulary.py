"""Which of a model's ids are tokens: the tokenizer, the embedding and the head may each count differently."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from sea_toolkit.errors import ModelError


def require_tokens(tokenizer: Any, name: str) -> None:
    """Refuse an empty tokenizer: transformers makes one where a folder has no tokenizer files.

    Raises:
        ModelError: it has no tokens.
    """
    if len(tokenizer) == 0:
        raise ModelError(
            f"the tokenizer of {name} has no tokens",
            expected="tokenizer files (tokenizer.json) beside the weights",
            hint="save the tokenizer into the same folder, or take it from the model this one was trained from",
        )


def token_ids(tokenizer: Any, rows: int, size: int) -> tuple[Int[Tensor, " n"], Int[Tensor, " m"]]:
    """The ids below `size` that stand for a token, and the other ones: the tokenizer knows none, or the embedding has
    only `rows` rows."""
    is_token = torch.zeros(size, dtype=torch.bool)
    is_token[[i for i in _ids(tokenizer) if i < min(rows, size)]] = True
    return is_token.nonzero().squeeze(-1), (~is_token).nonzero().squeeze(-1)


def require_rows(ids: Sequence[int] | Int[Tensor, " n"], rows: int, name: str) -> None:
    """Refuse token ids that the embedding of a model does not have.

    Args:
        ids: of a text.
        rows: of the embedding.
        name: of the model.

    Raises:
        ModelError: such an id.
    """
    highest = int(max(ids)) if len(ids) else 0
    if highest >= rows:
        raise ModelError(
            f"the text has the token {highest}, and the embedding of {name} has {rows} rows",
            expected="a tokenizer and weights that belong together",
            hint="the tokenizer that the model was trained with, or model.resize_token_embeddings before saving it",
        )


def guard_rows(embedding: Any, tokenizer: Any, name: str) -> None:
    """Have the embedding refuse ids that it has no row for, if the tokenizer can write any.

    Args:
        embedding: from `model.get_input_embeddings()`.
        tokenizer: of the model.
        name: of the model.
    """
    if not isinstance(embedding, nn.Embedding):
        return
    rows = len(embedding.weight)
    if max(_ids(tokenizer)) < rows:
        return

    def look(module: nn.Module, ids: tuple[Any, ...]) -> None:
        require_rows(ids[0].flatten().unique(), rows, name)

    embedding.register_forward_pre_hook(look)


def _ids(tokenizer: Any) -> Collection[int]:
    ids: Collection[int] = tokenizer.get_vocab().values() if hasattr(tokenizer, "get_vocab") else range(len(tokenizer))
    return ids
