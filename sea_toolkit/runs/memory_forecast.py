"""How much memory a run will take: its weights, what a pass of each model keeps, and what the sampler holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sea_toolkit.core.free_memory import free_memory
from sea_toolkit.core.live_bytes import LiveBytes
from sea_toolkit.core.peak_memory import resident_memory_mb
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.micro_batches import PART, SHARE
from sea_toolkit.models.skeleton import megabytes
from sea_toolkit.util.sizes import in_words

if TYPE_CHECKING:
    from sea_toolkit.runs.rehearsal import Rehearsal

MIB = 2**20


@dataclass(frozen=True)
class Memory:
    """Memory of a run, in MiB.

    Attributes:
        device: of the policy.
        rest: what the process takes before anything is loaded; 0 on a GPU.
        weights: of all models on that device, each once.
        each_prompt: what a prompt adds at the peak, where passes are taken as wholes.
        saved: what passes and logits take less because they are taken in parts that fit.
        peak: of the whole run.
        unknown: models whose passes could not be foreseen, and are left out.
    """

    device: str
    rest: float
    weights: float
    each_prompt: float
    saved: float
    peak: float
    unknown: list[str]


@dataclass
class Passes:
    """The passes of one model that a rehearsal has seen.

    Attributes:
        seen: (rows, tokens) and whether a gradient runs back, for each shape that was met.
    """

    seen: set[tuple[int, int, bool]] = field(default_factory=set)

    def note(self, states: Tensor) -> None:
        """Remember the shape of a pass over embeddings or hidden states `[…, T, D]`."""
        rows = states.numel() // max(1, states.shape[-1] * states.shape[-2])
        self.seen.add((rows, states.shape[-2], torch.is_grad_enabled() and states.requires_grad))

    def peaks(self, skeleton: Any, dtype: torch.dtype) -> tuple[float, float]:
        """MiB that the largest of them takes in a model of this class and size, without a pass back and with one.

        Raises:
            NotForeseenError: such a model cannot be run without numbers.
        """
        found = {shape[2]: pass_mib(skeleton, *shape, dtype) for shape in self.largest}
        return found.get(False, 0.0), found.get(True, 0.0)

    @property
    def largest(self) -> list[tuple[int, int, bool]]:
        """Those of the most tokens, with and without a pass back."""
        found = []
        for back in (False, True):
            kind = [shape for shape in self.seen if shape[2] is back]
            found += [max(kind, key=lambda shape: (shape[0] * shape[1], shape))] if kind else []
        return found


class NotForeseenError(Exception):
    """A model does not run on the meta device."""


def pass_mib(skeleton: Any, rows: int, tokens: int, back: bool, dtype: torch.dtype) -> float:
    """MiB of tensors that a pass over embeddings takes, with what a pass back needs.

    Args:
        skeleton: a model on the meta device, with or without its head.
        rows: of the batch.
        tokens: of each row.
        back: whether a gradient runs back to the embeddings.
        dtype: of weights and activations.

    Raises:
        NotForeseenError: the model takes no embeddings, or asks for numbers on its way.
    """
    with _without_numbers(skeleton, dtype), torch.set_grad_enabled(back), LiveBytes() as live:
        _run(skeleton, rows, tokens, dtype, back=back)
    return live.peak / MIB


def cache_mib(skeleton: Any, rows: int, tokens: int, dtype: torch.dtype) -> float:
    """MiB of the keys and values of so many tokens; 0 for a model that keeps none.

    Raises:
        NotForeseenError: as `pass_mib`.
    """
    held = []
    for use_cache in (True, False):
        with _without_numbers(skeleton, dtype), torch.no_grad(), LiveBytes() as live:
            output = _run(skeleton, rows, tokens, dtype, use_cache=use_cache)
            held.append(live.now)
        del output
    return max(0, held[0] - held[1]) / MIB


def _run(skeleton: Any, rows: int, tokens: int, dtype: torch.dtype, *, back: bool = False, **options: Any) -> Any:
    """A pass over embeddings, without the head of a language model: its logits are the sampler's."""
    model = skeleton if skeleton.get_output_embeddings() is None else skeleton.base_model
    width = skeleton.get_input_embeddings().weight.shape[1]
    embeds = torch.empty(rows, tokens, width, device="meta", dtype=dtype, requires_grad=back)
    mask = torch.zeros(rows, 1, tokens, tokens, device="meta", dtype=dtype)  # transformers takes it as it is
    places = torch.zeros(rows, tokens, device="meta", dtype=torch.long)
    output = model(inputs_embeds=embeds, attention_mask=mask, position_ids=places, **options)
    if back:
        torch.autograd.grad(output[0].sum(), embeds)
    return output


@contextmanager
def _without_numbers(skeleton: Any, dtype: torch.dtype) -> Iterator[None]:
    """The skeleton in a dtype within the block, whose failures are told in one way."""
    before = next(skeleton.parameters()).dtype
    skeleton.to(dtype)
    try:
        yield
    except Exception as error:  # each architecture has its own way to refuse
        raise NotForeseenError(str(error)) from error
    finally:
        skeleton.to(before)


def memory_of(rehearsal: Rehearsal, held: float, prompts: int, limit: int | None) -> Memory:
    """The memory of a run.

    Args:
        rehearsal: of the recipe, after its steps.
        held: bytes that the sampler's own tensors took for one prompt.
        prompts: how many the run works on together.
        limit: bytes that the process may use; None: most of what is free.

    Raises:
        RecipeError: the models take more than the limit.
    """
    place, policy = rehearsal.place, rehearsal.foresight.policy
    models = {model.key: model for outlook in rehearsal.outlooks for model in outlook.models or ()}
    here = {model.key: model for model in models.values() if model.place == place}
    weights = megabytes(policy, place.dtype) + sum(model.megabytes for model in here.values())
    stage, problem, unknown = rehearsal.stage, rehearsal.problem, list[str]()
    tokens, passes, kept = problem.prefix.mask.shape[1] + problem.length, [(0.0, 0.0)], 0.0
    try:
        passes.append(stage.policy.peaks(policy, place.dtype))
        kept = cache_mib(policy, problem.chains, tokens, place.dtype)
    except NotForeseenError:
        unknown.append("the policy")
    for key, model in here.items():
        try:
            passes.append(stage.models[key].peaks(model.skeleton, place.dtype))
        except NotForeseenError:
            unknown.append(model.name)
    # what one model keeps for its way back lives until those of the others are run
    largest = max(max(forward for forward, _ in passes), sum(back for _, back in passes))
    each = held / MIB + kept + largest
    rest = resident_memory_mb() if place.device.type == "cpu" else 0.0
    if limit is None:
        room = SHARE * (free_memory(place.device) / MIB - weights)
    else:
        room = limit / MIB - rest - weights
        if room <= 0:
            raise RecipeError(
                f"a memory limit of {in_words(limit)}, and the models take about {weights:.0f} MiB beside the "
                f"{rest:.0f} MiB of everything else",
                expected="more than that",
                hint="a smaller model, or dtype = bfloat16 (--set policy.dtype=bfloat16)",
            )
    saved = max(0.0, prompts * largest - PART * max(0.0, room))
    if saved:  # logits, which are most of what a sampler holds, are made a few at a time as well
        saved += (prompts - 1) * held / MIB
    return Memory(str(place.device), rest, weights, each, saved, rest + weights + prompts * each - saved, unknown)
