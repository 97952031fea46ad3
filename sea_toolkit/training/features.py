"""Pooled hidden states of many texts, for several layers in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.lm.architecture import accepted
from sea_toolkit.lm.positions import usable_positions
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.lm.truncate import asked_for_states, truncate


@torch.no_grad()
def pooled_features(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    layers: Sequence[int],
    *,
    max_tokens: int = 64,
    batch_tokens: int = 2048,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> dict[int, Float[Tensor, "N D"]]:
    """Mean over its tokens of each block's output, as a probe sees a response.

    Texts are fed without prompt, between the special tokens that the tokenizer writes around a text, cut to
    `max_tokens` and to what the model can read. Texts of one length share a batch, so that none is padded; one forward
    of the first `max(layers)` blocks gives all layers. A text without tokens gets zeros.

    Args:
        model: a language model or encoder, on its device.
        tokenizer: its own.
        texts: what is read.
        layers: which blocks' outputs (1 is the first).
        max_tokens: of each text, without the special tokens.
        batch_tokens: tokens per forward.
        progress: called with (texts done, N, what).

    Returns:
        Layer to float32 features on the CPU.
    """
    opening, closing = wrapping(tokenizer)
    around = len(opening) + len(closing)
    limit = min(max_tokens, (usable_positions(model) or max_tokens + around) - around)
    rows = [tokenizer(t, add_special_tokens=False).input_ids[:limit] for t in texts]
    order = sorted((i for i, r in enumerate(rows) if r), key=lambda i: len(rows[i]))
    truncated = truncate(model, max(layers))
    device, width = model.get_input_embeddings().weight.device, model.config.get_text_config().hidden_size
    pooled = {layer: torch.zeros(len(texts), width) for layer in layers}
    done, plain = 0, accepted(truncated, use_cache=False)
    while done < len(order):
        length = len(rows[order[done]])
        size = max(1, batch_tokens // (length + around))
        batch = [i for i in order[done : done + size] if len(rows[i]) == length]
        ids = torch.tensor([[*opening, *rows[i], *closing] for i in batch], device=device)
        with asked_for_states(truncated):
            states = truncated(input_ids=ids, output_hidden_states=True, **plain).hidden_states
        for layer in layers:
            pooled[layer][batch] = states[layer][:, len(opening) : len(opening) + length].float().mean(1).cpu()
        done += len(batch)
        progress(done, len(order), "reading the texts")
    return pooled
