"""What a bridge is compared with, written down again: whole texts, the model's own gradient, what each token writes."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.piece_alignment import overlaps
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.testing.conformance import require


def context_of(policy: Policy, prompts: Sequence[str], length: int, finder: ModelFinder) -> Context:
    """What a scorer gets in a run."""
    ledger = Ledger()
    prefix = policy.prefix(policy.encode(prompts, length))
    return Context(policy, prompts, prefix, length, ledger, Clock(), finder, Meter(ledger))


def slope_of(scorer: Callable[[SoftResponse], Tensor], response: SoftResponse) -> Float[Tensor, "P C T V"]:
    """The gradient of the first output with respect to the probability of every token, at each position."""
    with torch.enable_grad():
        tapped = response.with_gradient_taps()
        assert tapped.taps is not None
        gradient = tapped.taps.gradient(scorer(tapped)[..., 0].sum())
    size = max(len(table) for table, _ in gradient.tables)
    return torch.stack([gradient.over_vocabulary(t, size) for t in range(response.shape[2])], 2)


def whole_text(reader: ClassifierReader, prompt: str, answer: str) -> tuple[str, Any]:
    """The text that the model's user would give it, and the tokenizer's encoding, without our own code."""
    tokenizer, chat = reader.shown.tokenizer, reader.shown.reads == "chat"
    text = answer
    if chat:
        messages = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
    elif reader.shown.reads == "prompt+response":
        text = prompt.rstrip() + ("" if answer[:1].isspace() else " ") + answer
    return text, tokenizer(text, add_special_tokens=not chat, return_offsets_mapping=True)


def pulled(
    reader: ClassifierReader, policy: Policy, prompt: str, text: str, ids: Sequence[int]
) -> Float[Tensor, "T D"]:
    """The gradient of the model's first output at the pieces, carried to the tokens that write the same bytes."""
    whole, encoding = whole_text(reader, prompt, text)
    shown = text if text in whole else text.strip()
    start, skipped = whole.rindex(shown), text.index(shown)
    spans = [(max(a - start + skipped, 0), max(b - start + skipped, 0)) for a, b in encoding.offset_mapping]
    ends = [0, *(min(len(policy.decode(list(ids[: t + 1]))), len(text)) for t in range(len(ids)))]
    share = overlaps([s if s[1] <= len(text) else (0, 0) for s in spans], list(pairwise(ends)))
    embeds = reader.embedding(torch.tensor([encoding.input_ids], device=policy.device)).detach().requires_grad_()
    with torch.enable_grad():
        value = reader.model(inputs_embeds=embeds, attention_mask=torch.ones_like(embeds[..., 0])).logits[0, 0]
        (gradient,) = torch.autograd.grad(value, embeds)
    return share.T.to(gradient.device) @ gradient[0].float()


def common_tokens(policy: Policy, tokenizer: Any) -> tuple[list[int], list[int]]:
    """Tokens of the policy that are a space and letters, and one piece of the other tokenizer; and these pieces."""
    tokens, pieces = [], []
    opening = tokenizer("x", add_special_tokens=False).input_ids
    for token in policy.token_ids.tolist():
        word = policy.tokenizer.decode([token])
        if not (word.startswith(" ") and word[1:].isascii() and word[1:].isalpha()):
            continue
        cut = tokenizer("x" + word, add_special_tokens=False).input_ids
        if cut[: len(opening)] == opening and len(cut) == len(opening) + 1 and cut[-1] != tokenizer.unk_token_id:
            tokens.append(token)
            pieces.append(cut[-1])
    require(len(tokens) > 1, "no word of the policy is one piece of the reward's tokenizer")
    return tokens, pieces


def negated(reader: ClassifierReader) -> Any:
    """A copy of the model whose outputs have the other sign."""
    model = copy.deepcopy(reader.model)
    calls: list[nn.Linear] = []
    for part in model.modules():
        if isinstance(part, nn.Linear):
            part.register_forward_hook(lambda module, inputs, output: calls.append(module))
    ids = torch.tensor([[len(reader.table) // 2]], device=reader.table.device)
    with torch.no_grad():
        model(input_ids=ids, attention_mask=torch.ones_like(ids))
        for parameter in calls[-1].parameters():
            parameter.neg_()
    return model


@contextmanager
def own_cache() -> Iterator[None]:
    """A cache of the check's own, for as long as the block lasts: what a broken bridge has measured stays there."""
    before = os.environ.get("SEA_CACHE")
    with tempfile.TemporaryDirectory(prefix="sea-check-") as folder:
        os.environ["SEA_CACHE"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["SEA_CACHE"]
            else:
                os.environ["SEA_CACHE"] = before
