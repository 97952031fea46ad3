"""All randomness of a run: one stream per prompt, so that a prompt's answer does not depend on its neighbors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from sea_toolkit.errors import NumericalError, SeaError
from sea_toolkit.util.conversation import Prompt, times_before


def prompt_seeds(prompts: Sequence[str], seed: int, occurrences: Sequence[int] | None = None) -> list[int]:
    """One seed per prompt, made of the run's seed and the prompt's text (all turns of a conversation).

    A prompt that is given twice gets two seeds.

    Args:
        prompts: P texts or conversations.
        seed: of the run.
        occurrences: how often each was given before; None: as often as it stands further ahead in `prompts`.
    """
    counts = times_before(prompts) if occurrences is None else occurrences
    seeds = []
    for prompt, repeat in zip(prompts, counts, strict=True):
        digest = hashlib.sha256(f"{seed}\0{repeat}\0{Prompt.of(prompt).key}".encode()).digest()
        seeds.append(int.from_bytes(digest[:7], "big"))
    return seeds


class Noise:
    """Independent generators, one per prompt; torch's global stream is never touched.

    Samplers ask for shapes without the prompt axis and get it in front: `noise.normal(C, T, K)` is `[P, C, T, K]`.
    The numbers are drawn on the CPU wherever they are used: every kind of device gets the same, a checkpoint can be
    taken up on another one, and a single number is read without waiting for the device.

    Args:
        seeds: one integer per prompt.
        device: where the tensors are put.
        common: seed of the stream that all prompts share (`common_uniform`).
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu", common: int = 0) -> None:
        self.device = torch.device(device)
        self.generators = [torch.Generator().manual_seed(s) for s in seeds]
        self._common = torch.Generator().manual_seed(common)

    @classmethod
    def for_prompts(
        cls,
        prompts: Sequence[str],
        seed: int,
        device: torch.device | str = "cpu",
        *,
        occurrences: Sequence[int] | None = None,
    ) -> Noise:
        """The streams of a run, see `prompt_seeds`: they do not depend on how many prompts are run together, as long
        as `occurrences` counts them among all."""
        return cls(prompt_seeds(prompts, seed, occurrences), device, seed)

    def uniform(self, *shape: int) -> Float[Tensor, "P *shape"]:
        """Uniform on the open interval (0, 1), float32."""
        draws = [torch.rand(shape, generator=g) for g in self.generators]
        # rand() can return 0, whose logarithm is not finite; 2^-25 is half its smallest step
        return torch.stack(draws).clamp_(min=2.0**-25).to(self.device)

    def common_uniform(self) -> float:
        """One number in [0, 1) that all prompts share; it does not depend on which prompts are run together."""
        return float(torch.rand((), generator=self._common))

    def peek_common_uniform(self) -> float:
        """What `common_uniform` gives next; the stream stays where it is."""
        ahead = torch.Generator()
        ahead.set_state(self._common.get_state())
        return float(torch.rand((), generator=ahead))

    def normal(self, *shape: int) -> Float[Tensor, "P *shape"]:
        """Standard normal, float32."""
        return torch.stack([torch.randn(shape, generator=g) for g in self.generators]).to(self.device)

    def gumbel(self, *shape: int) -> Float[Tensor, "P *shape"]:
        """Standard Gumbel, float32: `argmax(logits + gumbel)` is a sample of `softmax(logits)`."""
        return -torch.log(-torch.log(self.uniform(*shape)))

    def state(self) -> UInt8[Tensor, "streams bytes"]:
        """Everything needed to go on with the same streams, for a checkpoint; the common stream comes last."""
        return torch.stack([g.get_state() for g in [*self.generators, self._common]])

    def load_state(self, state: UInt8[Tensor, "streams bytes"]) -> None:
        """Go on where `state()` was taken.

        Raises:
            SeaError: the state is of another number of prompts.
        """
        streams = [*self.generators, self._common]
        if len(state) != len(streams):
            raise SeaError(
                f"a random state for {len(state) - 1} prompts", expected=f"one for {len(streams) - 1} prompts"
            )
        for generator, row in zip(streams, state, strict=True):
            # set_state reads from the start of the storage (torch 2.13): a row of a stack needs its own
            generator.set_state(row.to("cpu", copy=True))


def categorical(probabilities: Float[Tensor, "*rows V"], uniform: Float[Tensor, "*rows"]) -> Int[Tensor, "*rows"]:
    """Draw one index per row by inverting the cumulative distribution at `uniform`. Rows need not sum to one.

    Raises:
        NumericalError: a row is not finite, or has no mass.
    """
    index, drawn = draw(probabilities, uniform)
    if not bool(drawn.all()):
        raise NumericalError(
            f"probabilities that are not finite, or all 0, in {int((~drawn).sum())} of {drawn.numel()} rows",
            expected="finite probabilities, one of them above 0, in each row",
        )
    return index


def draw(
    probabilities: Float[Tensor, "*rows V"], uniform: Float[Tensor, "*rows"]
) -> tuple[Int[Tensor, "*rows"], Bool[Tensor, "*rows"]]:
    """As `categorical`, without waiting for the device: an index per row, and where it means something, which is where
    the row is finite and has mass.

    It first draws a block of indices, then an index in the block: in one float32 running sum over a whole vocabulary
    the rounding errors would be as large as the probability of a rare token.
    """
    *rows, size = probabilities.shape
    block = max(1, int(size**0.5))
    padded = torch.nn.functional.pad(probabilities, (0, -size % block)).unflatten(-1, (-1, block))
    sums = padded.sum(-1)
    edges = sums.cumsum(-1)
    point = uniform.unsqueeze(-1) * edges[..., -1:]
    # at most the last block that holds any mass: rounding may push the point past the end
    last = (sums > 0).long().mul(torch.arange(sums.shape[-1], device=sums.device)).amax(-1, keepdim=True)
    which = torch.searchsorted(edges, point, right=True).minimum(last)
    before = torch.nn.functional.pad(edges, (1, 0)).gather(-1, which)
    inside = padded.gather(-2, which.unsqueeze(-1).expand(*rows, 1, block)).squeeze(-2)
    inner = inside.cumsum(-1)
    last = (inside > 0).long().mul(torch.arange(block, device=sums.device)).amax(-1, keepdim=True)
    index = torch.searchsorted(inner, (point - before).clamp(min=0), right=True).minimum(last)
    mass = edges[..., -1]
    return (which * block + index).squeeze(-1), mass.isfinite() & (mass > 0)
