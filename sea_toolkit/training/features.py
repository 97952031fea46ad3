"""Pooled hidden states of many texts, for several layers in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.lm.positions import usable_positions
from sea_toolkit.lm.truncate import truncate


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

    Texts are fed without prompt and without special tokens, cut to `max_tokens` and to what the model can
    read, batched by length; one forward of the first `max(layers)` blocks gives all layers. A text without tokens gets
    zeros.

    Args:
        model: the policy, on its device.
        layers: which blocks' outputs (1 is the first).
        batch_tokens: padded tokens per forward.
        progress: called with (texts done, N, what).

    Returns:
        Layer to float32 features on the CPU.
    """
    limit = min(max_tokens, usable_positions(model) or max_tokens)
    rows = [tokenizer(t, add_special_tokens=False).input_ids[:limit] for t in texts]
    order = sorted((i for i, r in enumerate(rows) if r), key=lambda i: len(rows[i]))
    truncated = truncate(model, max(layers))
    device, width = model.get_input_embeddings().weight.device, model.config.get_text_config().hidden_size
    pooled = {layer: torch.zeros(len(texts), width) for layer in layers}
    done = 0
    while done < len(order):
        size = 1
        while done + size < len(order) and (size + 1) * len(rows[order[done + size]]) <= batch_tokens:
            size += 1
        batch = order[done : done + size]
        longest = len(rows[batch[-1]])
        ids = torch.tensor([rows[i] + [0] * (longest - len(rows[i])) for i in batch], device=device)
        mask = torch.tensor([[1] * len(rows[i]) + [0] * (longest - len(rows[i])) for i in batch], device=device)
        states = truncated(input_ids=ids, attention_mask=mask, output_hidden_states=True, use_cache=False).hidden_states
        weights = (mask / mask.sum(-1, keepdim=True)).float()
        for layer in layers:
            pooled[layer][batch] = torch.einsum("ntd,nt->nd", states[layer].float(), weights).cpu()
        done += size
        progress(done, len(order), "reading the texts with the policy")
    return pooled
