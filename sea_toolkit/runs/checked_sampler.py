"""A sampler in a run: every call is attributed to its plugin, and what it returns is checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from jaxtyping import Int
from torch import Tensor

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.values import described
from sea_toolkit.problem.problem import Problem
from sea_toolkit.problem.scores import Scored, wrong_ids
from sea_toolkit.registry.blame import Owner, attribute_errors_to, wrong_return
from sea_toolkit.samplers.base import Info, Sampler


class CheckedSampler:
    """The calls that a run makes.

    Args:
        sampler: what is called.
        owner: whose code it is.
        problem: of the run.
    """

    def __init__(self, sampler: Sampler, owner: Owner, problem: Problem) -> None:
        self.sampler, self.owner, self.problem = sampler, owner, problem

    def init(self, noise: Noise) -> tuple[Any, Info]:
        """The first state.

        Raises:
            PluginError: as every method here: the sampler fails, or returns something else than it should.
        """
        with attribute_errors_to(self.owner, "failed", user_errors_pass=True):
            returned: Any = self.sampler.init(self.problem, noise)
        return self._checked("init", returned)

    def step(self, state: Any, noise: Noise) -> tuple[Any, Info]:
        """The next state."""
        with attribute_errors_to(self.owner, "failed", user_errors_pass=True):
            returned: Any = self.sampler.step(self.problem, state, noise)
        return self._checked("step", returned)

    def current(self, state: Any) -> Int[Tensor, "P C T"]:
        """The hard responses of a state."""
        with attribute_errors_to(self.owner, "failed in current", user_errors_pass=True):
            ids: Any = self.sampler.current(self.problem, state)
        problem = self.problem
        wrong = wrong_ids(ids, (len(problem.prompts), problem.chains, problem.length), problem.policy.vocab_size)
        if wrong is not None:
            raise wrong_return(self.owner, f"current returned {wrong[0]}", expected=wrong[1])
        checked: Tensor = ids
        return checked

    def finished(self, state: Any) -> bool:
        """Whether the run ends here."""
        with attribute_errors_to(self.owner, "failed in finished", user_errors_pass=True):
            return bool(self.sampler.finished(self.problem, state))

    def step_cost(self, state: Any, noise: Noise) -> float | None:
        """Samples per prompt that the next step costs at most, or None."""
        return self._cost("step_cost", lambda: self.sampler.step_cost(self.problem, state, noise))

    def first_step_cost(self) -> float | None:
        """Samples per prompt that the start and the first step cost at most, or None."""
        return self._cost("first_step_cost", lambda: self.sampler.first_step_cost(self.problem))

    def _cost(self, method: str, call: Callable[[], Any]) -> float | None:
        with attribute_errors_to(self.owner, f"failed in {method}", user_errors_pass=True):
            cost = call()
        if cost is not None and (not isinstance(cost, int | float) or math.isnan(cost)):
            raise self._wrong(method, described(cost), "a number of samples, or None")
        return cost

    def _checked(self, method: str, returned: Any) -> tuple[Any, Info]:
        state_type = self.sampler.state_type
        if not isinstance(returned, tuple) or len(returned) != 2:
            got = f"{len(returned)} values" if isinstance(returned, tuple) else described(returned)
            raise self._wrong(method, got, f"a {state_type.__name__} and an Info")
        state, info = returned
        if not isinstance(state, state_type):
            raise self._wrong(method, f"{described(state)} as its state", f"a {state_type.__name__}, its state_type")
        if not isinstance(info, Info):
            raise self._wrong(method, f"{described(info)} beside the state", "an Info")
        scored: Any = info.scored
        if not isinstance(scored, Scored | None):
            raise self._wrong(method, f"an Info whose scored is {described(scored)}", "a Scored or None")
        if method == "init" and scored is None:
            raise self._wrong(method, "an Info without scored", "Info(problem.score_as_text(ids))")
        self._check_metrics(method, info.metrics)
        return state, info

    def _check_metrics(self, method: str, metrics: Any) -> None:
        shape = [len(self.problem.prompts), self.problem.chains]
        if not isinstance(metrics, Mapping):
            raise self._wrong(method, f"an Info whose metrics are {described(metrics)}", "a table of tensors")
        for name, value in metrics.items():
            if not isinstance(name, str) or not isinstance(value, Tensor) or list(value.shape) != shape:
                raise self._wrong(method, f"{described(value)} as its metric {name!r}", f"a tensor [P, C] = {shape}")

    def _wrong(self, method: str, got: str, expected: str) -> Exception:
        return wrong_return(self.owner, f"{method} returned {got}", expected=expected)
