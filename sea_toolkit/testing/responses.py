"""Answers to score: random ones of different lengths, hard, one-hot over few or all tokens, and relaxed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, after_end
from sea_toolkit.lm.policy import Policy

FEW = 6
"""Candidates per position of the relaxed answers."""


def plain_ids(policy: Policy) -> Int[Tensor, " N"]:
    """Tokens that stand for text: all but the end of text and other special tokens."""
    special = {*policy.eos_ids, *getattr(policy.tokenizer, "all_special_ids", ())}
    return torch.tensor([i for i in policy.token_ids.tolist() if i not in special])


def closed(ids: Int[Tensor, "P C T"], eos_ids: Sequence[int]) -> Int[Tensor, "P C T"]:
    """The ids with the first end-of-text token repeated after it."""
    return ids.masked_fill(after_end(ids, eos_ids), eos_ids[0])


@dataclass(frozen=True)
class Answers:
    """P × C random answers, and the tools to write them in every form. Made on the CPU, moved where they are used.

    Attributes:
        policy: whose tokens they are.
        ids: `[P, C, T]`; the first is empty, the last has no end, the others end anywhere.
        logits, candidates: `[P, C, T, K]`, relaxed answers of the same shape.
    """

    policy: Policy
    ids: Int[Tensor, "P C T"]
    logits: Float[Tensor, "P C T K"]
    candidates: Int[Tensor, "P C T K"]

    @classmethod
    def random(cls, policy: Policy, prompts: int, chains: int, length: int, seed: int) -> Answers:
        """Reproducible random answers."""
        g = torch.Generator().manual_seed(seed)
        plain, shape = plain_ids(policy), (prompts, chains, length)
        ids = plain[torch.randint(len(plain), shape, generator=g)]
        ends = torch.randint(1, length, (prompts, chains), generator=g)
        ends[0, 0], ends[-1, -1] = 0, length
        ids = torch.where(torch.arange(length) == ends[..., None], policy.eos_ids[0], ids)
        few = min(FEW, len(plain))
        # distinct in each row; the end of text is the last candidate of every other position
        picked = torch.stack([torch.randperm(len(plain), generator=g)[:few] for _ in range(ids.numel())])
        candidates = plain[picked].view(*shape, few)
        candidates[:, :, ::2, -1] = policy.eos_ids[0]
        logits = torch.randn(candidates.shape, generator=g)
        return cls(policy, closed(ids, policy.eos_ids), logits, candidates)

    def hard(self, ids: Int[Tensor, "P C t"] | None = None) -> SoftResponse:
        """One candidate per position, as `score_as_text` has it; of these answers, or of other `ids`."""
        ids = (self.ids if ids is None else ids).clone()
        return SoftResponse.from_ids(ids.to(self.policy.device), self.policy.eos_ids)

    def one_hot(self, ids: Int[Tensor, "P C T"] | None = None) -> Float[Tensor, "P C T V"]:
        """Weights over the whole vocabulary."""
        ids = (self.ids if ids is None else ids).to(self.policy.device)
        return torch.nn.functional.one_hot(ids, self.policy.vocab_size).float()

    def dense(self, ids: Int[Tensor, "P C T"] | None = None) -> SoftResponse:
        """One-hot over the whole vocabulary."""
        return SoftResponse.from_weights(self.one_hot(ids), None, self.policy.eos_ids)

    def sparse(self) -> SoftResponse:
        """One-hot over the candidates, the token itself in another place in each position."""
        rest = torch.where(self.candidates == self.ids[..., None], plain_ids(self.policy)[0], self.candidates)
        place = torch.arange(self.ids.numel()).view(self.ids.shape)[..., None] % rest.shape[-1]
        candidates = rest.scatter(-1, place, self.ids[..., None])
        weights = torch.zeros(candidates.shape).scatter(-1, place, 1.0)
        device = self.policy.device
        return SoftResponse.from_weights(weights.to(device), candidates.to(device), self.policy.eos_ids)

    def soft(self, logits: Float[Tensor, "P C T K"] | None = None) -> SoftResponse:
        """Softmax weights over the candidates."""
        device = self.policy.device
        z = (self.logits if logits is None else logits).to(device)
        return SoftResponse.from_weights(z.softmax(-1), self.candidates.clone().to(device), self.policy.eos_ids)

    def texts(self) -> list[list[str]]:
        """What a person reads."""
        return self.policy.text(self.ids)


def chosen(response: SoftResponse, prompts: Sequence[int], chains: Sequence[int]) -> SoftResponse:
    """Some prompts and chains of a response, in the given order."""

    def pick(values: Tensor) -> Tensor:
        return values[list(prompts)][:, list(chains)].clone()

    candidates = None if response.candidates is None else pick(response.candidates)
    texts = None if response.texts is None else [[response.texts[p][c] for c in chains] for p in prompts]
    return replace(
        response,
        texts=texts,
        weights=pick(response.weights),
        candidates=candidates,
        ids=pick(response.ids),
        alive=pick(response.alive),
    )
