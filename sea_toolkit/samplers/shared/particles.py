"""Unfinished texts that are drawn side by side, weighed, and resampled beside one that is kept (conditional SMC)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import LogitsProcessor, decode
from sea_toolkit.lm.kv_cache import KeysValues, take_rows
from sea_toolkit.problem.problem import Problem
from sea_toolkit.samplers.shared.resampling import conditional_systematic, effective, normalized, tempered


class Drawn(NamedTuple):
    """Texts so far.

    Attributes:
        ids: `[P, C, n, t]`.
        log_prob: log π of their tokens.
        log_proposal: log q of them, from which they were drawn.
    """

    ids: Int[Tensor, "P C n t"]
    log_prob: Float[Tensor, "P C n t"]
    log_proposal: Float[Tensor, "P C n t"]

    def until(self, end: int) -> Drawn:
        """Their first tokens."""
        return Drawn(*(each[..., :end] for each in self))

    def join(self, other: Drawn, dim: int) -> Drawn:
        """Both, along a dimension."""
        return Drawn(*(torch.cat(pair, dim) for pair in zip(self, other, strict=True)))

    def take(self, rows: Int[Tensor, "P C m"]) -> Drawn:
        """Of each chain these ones."""
        at = rows[..., None].expand(-1, -1, -1, self.ids.shape[-1])
        return Drawn(*(each.gather(2, at) for each in self))


@dataclass(frozen=True)
class Path:
    """The text of each chain that is kept as its first particle, `[P, C, 1, T]`, and keys and values of its tokens."""

    text: Drawn
    layers: KeysValues


@dataclass
class Particles:
    """The particles of one pass: in each chain the one kept, then m that are drawn.

    Attributes:
        problem: of the run.
        kept: the first particle of each chain.
        uniform: `[P, C·m, T]`, one number per token that is drawn.
        process: tilts the policy; see `decode`.
        temperature: divides its logits.
        new: the m that are drawn, so far.
        layers: keys and values of all their tokens but the last; None before the first.
        counted: `[P, C, 1 + m]`, log-weight that earlier resamplings have accounted for.
        resampled: `[P, C]`, how often that was.
    """

    problem: Problem
    kept: Path
    uniform: Float[Tensor, "P n T"]
    process: LogitsProcessor | None
    temperature: float
    new: Drawn
    layers: KeysValues | None
    counted: Float[Tensor, "P C N"]
    resampled: Float[Tensor, "P C"]

    @classmethod
    def begin(
        cls, problem: Problem, kept: Path, m: int, noise: Noise, process: LogitsProcessor | None, temperature: float
    ) -> Particles:
        """Before the first token."""
        p, c, _, length = kept.text.ids.shape
        none = kept.text.until(0)
        new = Drawn(*(each.expand(-1, -1, m, -1) for each in none))
        counted = torch.zeros(p, c, 1 + m, device=problem.policy.device)
        uniform = noise.uniform(c * m, length)
        return cls(problem, kept, uniform, process, temperature, new, None, counted, counted[..., 0])

    @property
    def all(self) -> Drawn:
        """The kept ones first."""
        return self.kept.text.until(self.new.ids.shape[-1]).join(self.new, 2)

    @property
    def all_layers(self) -> KeysValues:
        """Keys and values of all their tokens but the last, a row for each of `all`."""
        assert self.layers is not None
        rows, place = self.kept.text.ids[..., 0, 0].numel(), self.new.ids.shape[-1] - 1

        def both(kept: Tensor, new: Tensor) -> Tensor:
            return torch.cat([kept[:, None, :, :place], new.unflatten(0, (rows, -1))], 1).flatten(0, 1)

        pairs = zip(self.kept.layers, self.layers, strict=True)
        return [(both(kept[0], new[0]), both(kept[1], new[1])) for kept, new in pairs]

    def draw(self, end: int) -> tuple[Drawn, KeysValues]:
        """Let the new ones grow to a length; they, and their keys and values."""
        ids = self.new.ids
        shape, have = ids.shape[1:3], ids.shape[-1]
        drawn = decode(
            self.problem.policy,
            self.problem.prefix,
            self.uniform[..., have:end],
            start=ids.flatten(1, 2),
            past=self.layers,
            keep_cache=True,
            logits_processor=self.process,
            temperature=self.temperature,
            ledger=self.problem.ledger,
        )
        parts = (drawn.ids, drawn.log_prob, drawn.log_proposal)
        self.new = self.new.join(Drawn(*(each.unflatten(1, shape) for each in parts)), 3)
        assert drawn.layers is not None
        self.layers = drawn.layers
        return self.new, drawn.layers

    def resample(
        self, level: Float[Tensor, "P C N"], layers: KeysValues, ess: float, turns: Float[Tensor, "P C 2"]
    ) -> None:
        """Where the weights are uneven, the new ones become copies of particles, the kept ones among them, drawn by a
        power of the weights; what the power leaves of them counts on. Any probabilities would do: the weight of a copy
        is divided by the one that it was drawn with.

        Args:
            level: log γ − log q of all particles so far.
            layers: of all of them, see `all_layers`.
            ess: part of the particles that the effective sample size of these probabilities does not fall below.
            turns: uniform numbers.
        """
        log_weights = level - self.counted
        n = log_weights.shape[-1]
        few = effective(normalized(log_weights)) < ess * n
        pressure, chances = tempered(log_weights, ess)
        rows = torch.where(
            few[..., None], conditional_systematic(chances, turns), torch.arange(1, n, device=few.device)
        )
        self.new = self.all.take(rows)
        self.layers = take_rows(layers, rows, n)
        all_rows = torch.cat([torch.zeros_like(rows[..., :1]), rows], -1)
        self.counted = self.account(few, pressure.float(), self.counted).gather(-1, all_rows)
        self.resampled = self.resampled + few

    @staticmethod
    def account(
        few: Bool[Tensor, "P C"], pressure: Float[Tensor, "P C N"], counted: Float[Tensor, "P C N"]
    ) -> Float[Tensor, "P C N"]:
        """The log-weights accounted for: more by what decided a resampling."""
        return torch.where(few[..., None], counted + pressure, counted)
