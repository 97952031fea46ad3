"""Which of a model's ids are tokens: the tokenizer, the embedding and the head may each count differently."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

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
    known = tokenizer.get_vocab().values() if hasattr(tokenizer, "get_vocab") else range(len(tokenizer))
    is_token = torch.zeros(size, dtype=torch.bool)
    is_token[[i for i in known if i < min(rows, size)]] = True
    return is_token.nonzero().squeeze(-1), (~is_token).nonzero().squeeze(-1)
