"""One weighted term of a run's energy. Every call is checked; an error names the term's plugin."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.meter import Meter
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.core.values import described
from sea_toolkit.problem.compass import Compass
from sea_toolkit.problem.energy import BoundEnergy, PolicyEnergy
from sea_toolkit.problem.first_look import FirstLook, parts_of
from sea_toolkit.problem.functions import numbers_for
from sea_toolkit.problem.limits import PromptLimits
from sea_toolkit.problem.text_cache import TextCache
from sea_toolkit.problem.weighing import Weight
from sea_toolkit.registry.blame import Owner, attribute_errors_to, wrong_return
from sea_toolkit.util import ranks

Value = TypeVar("Value")


@dataclass(frozen=True)
class Term:
    """One weighted term of the energy.

    Attributes:
        label: its name in results and traces, unique in a run.
        weight: what it is multiplied by; see `Problem.weight`.
        bound: the bound energy.
        limit: what its reading may be, where it is a constraint; None for a term that is minimized.
        qualified: the plugin, as `distribution:name`, for notes.
        owner: whose code it is, for errors.
        meter: counts the tokens of the models that the energy has announced.
        is_time_dependent: an option follows a schedule, so the same response has another value later.
        can_announce: whether it was bound with a context, and so has to announce the models that it runs.
        cache: of the texts that were scored; None where they are scored each time.
        compass: which of the policy's words it likes, as far as that is known before the run; None: nothing is.
        first: what its first calls have shown.
    """

    label: str
    weight: Weight
    bound: BoundEnergy
    qualified: str
    owner: Owner
    meter: Meter
    is_time_dependent: bool = False
    can_announce: bool = True
    limit: PromptLimits | None = None
    cache: TextCache | None = None
    compass: Compass | None = None
    first: FirstLook = field(default_factory=FirstLook)

    @property
    def differentiable(self) -> bool:
        """Whether it has an energy of relaxed responses, and so a gradient."""
        return self.bound.energy is not None and self.bound.has_gradient

    @property
    def is_reward(self) -> bool:
        """Whether its negative is reported as a reward: that of a limit is not."""
        return self.bound.is_reward and self.limit is None

    def unmet(self, prompt: str, text: str, value: float) -> str:
        """What the text lacks of what this term asks for, in words; "" where it lacks nothing, or asks nothing. What a
        limit lacks is a matter of its numbers: see `PromptLimits.unmet`.

        Raises:
            PluginError: the energy fails.
        """
        if self.limit is not None:
            return ""
        ask = self.bound.unmet
        if ask is None:
            return ""
        with attribute_errors_to(f"energy {self.owner!r}", "failed", user_errors_pass=True):
            return str(ask(prompt, text, value))

    @property
    def policy_energy(self) -> PolicyEnergy | None:
        """The bound energy if it is −log π, of a term or of a limit, else None."""
        return self.bound if isinstance(self.bound, PolicyEnergy) else None

    @property
    def is_policy(self) -> bool:
        """Whether this is −log π itself rather than a limit on it."""
        return self.policy_energy is not None and self.limit is None

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """The unweighted energy of each response, float32.

        Raises:
            PluginError: the energy fails, changes the response, or returns something else than a number for each.
        """
        energy = self.bound.energy
        assert energy is not None, self.label
        spent = self.meter.ledger.flops
        before, copies = _versions(response), self.first.copies(response)
        value: Any = self._guarded("energy", lambda: energy(response))
        changed = [name for name, version in _versions(response).items() if version != before[name]]
        changed = changed or self.first.changed(response, copies)
        if changed:
            raise wrong_return(
                self.owner,
                f"changed the {' and '.join(changed)} of the response in place",
                expected="a response that is as it was: the other terms read it, and so does the gradient",
                hint="work on a copy, such as response.weights.clone()",
            )
        shape, device = response.shape[:2], response.ids.device
        fits = isinstance(value, Tensor) and value.shape == shape and value.device == device
        if not fits or value.is_complex() or value.layout != torch.strided:
            raise wrong_return(
                self.owner,
                f"returned {described(value)}",
                expected=f"a tensor [P, C] = {list(shape)} on {device}: one real number for each prompt and chain",
                hint=_way_to_shape(value, shape),
            )
        self.first.at_gradient(self.label, response, value)
        if not self.meter.models and self.meter.ledger.flops == spent and not self.is_policy:
            again = partial(self._guarded, "energy")
            self.first.at_dead_positions(self.label, response, value, lambda other: again(partial(energy, other)))
        return value.float().clone()  # the plugin may go on writing into its own

    def of_text(
        self, response: SoftResponse, prompts: Sequence[str], texts: Sequence[Sequence[str]]
    ) -> Float[Tensor, "P C"]:
        """The unweighted energy of P × C texts, by `score_text` where there is one; no gradient.

        Args:
            response: the texts as a hard response.
            prompts: P prompts.
            texts: P × C texts.

        Raises:
            PluginError: the energy fails, or returns the wrong number of values.
        """
        if self.bound.score_text is None:
            return self(response)
        return self.score_text(prompts, texts).to(response.ids.device)

    def score_text(self, prompts: Sequence[str], texts: Sequence[Sequence[str]]) -> Float[Tensor, "P C"]:
        """As `of_text`, for an energy that has `score_text`."""
        score = self.bound.score_text
        assert score is not None, self.label
        chains = len(texts[0])
        flat_prompts = [p for p in prompts for _ in range(chains)]
        flat = [t for row in texts for t in row]

        def ask(prompts: Sequence[str], texts: Sequence[str]) -> Tensor:
            given = [*prompts], [*texts]
            value = self._guarded("score_text", lambda: numbers_for(score(*given), len(texts)).clone())
            if given != ([*prompts], [*texts]):
                raise wrong_return(
                    self.owner,
                    "changed the list of texts or of prompts that it was given",
                    expected="lists that are as they were: each number belongs to the text in its place",
                    hint="work on a copy, such as sorted(texts) or list(texts)",
                )
            return value

        def ask_once(prompts: Sequence[str], texts: Sequence[str]) -> Tensor:
            # what runs no model may ask a server, or the clock: one process does, and tells the others
            return ask(prompts, texts) if self.meter.models else ranks.by_first(lambda: ask(prompts, texts))

        value = ask_once(flat_prompts, flat) if self.cache is None else self.cache.ask(flat_prompts, flat, ask_once)
        return value.reshape(len(texts), chains)

    def of_policy(
        self, response: SoftResponse, known: Float[Tensor, "P C"] | None, same: Tensor | None
    ) -> Float[Tensor, "P C"]:
        """−log π of hard responses in the unit of this term; see `PolicyEnergy.of_text`."""
        policy = self.policy_energy
        assert policy is not None, self.label
        return self._guarded("of_text", lambda: policy.of_text(response, known, same))

    @property
    def notes(self) -> list[str]:
        """What a person should know of it."""
        lines = [*self.bound.warnings, *self.first.notes]
        if self.meter.unannounced:
            lines.append(
                f"{self.label} runs a model ({_listed(self.meter.unannounced)}) that the budget does not count and a "
                "resumed run does not compare"
            )
        return lines

    def _guarded(self, kind: str, call: Callable[[], Value]) -> Value:
        modes = torch.is_grad_enabled(), torch.get_default_dtype()
        with attribute_errors_to(self.owner, "failed", user_errors_pass=True), self.meter.watching(kind):
            value = call()
        if modes != (torch.is_grad_enabled(), torch.get_default_dtype()):
            torch.set_grad_enabled(modes[0])
            torch.set_default_dtype(modes[1])
            self.first.at_modes(self.label)
        if self.meter.unannounced and self.can_announce:
            raise wrong_return(
                self.owner,
                f"it runs a model ({_listed(self.meter.unannounced)}) that it has not announced",
                expected="models that are counted in the budget, and compared when a run is resumed",
                hint="in bind: model = context.use_model(name, model)",
            )
        return value


def _versions(response: SoftResponse) -> dict[str, int]:
    """How often each tensor of a response has been written to; tensors of inference mode do not count it."""
    return {name: 0 if part.is_inference() else part._version for name, part in parts_of(response).items()}


def _way_to_shape(value: Any, shape: Sequence[int]) -> str | None:
    if not isinstance(value, Tensor):
        return "compute with tensors alone, without .item(), float() or numpy; a function of texts is f(prompts, texts)"
    if value.ndim > 2:
        return "sum or average over positions inside the energy: .sum(-1)"
    if value.shape != shape:
        return "sum or average over positions alone: dimensions 0 and 1 are prompts and chains"
    return None


def _listed(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + ("" if len(shown) <= 3 else ", …")
