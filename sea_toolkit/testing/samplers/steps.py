"""`check_sampler`: what single steps promise."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError
from sea_toolkit.testing.conformance import Checks, global_seed, global_streams_untouched, require
from sea_toolkit.testing.samplers.subject import Subject, leaves, same_state


def check_statements(made: Any) -> None:
    for name in (
        "law",
        "needs_gradient",
        "state_type",
        "default_chains",
        "default_steps",
        "default_budget",
        "default_relaxation",
    ):
        require(hasattr(made, name), "an attribute is missing", detail=name)
    require(
        isinstance(made.law, str) and bool(made.law.strip()),
        "its law is no sentence",
        detail=repr(made.law),
        hint="which law its chains sample, or sea_toolkit.samplers.base.OPTIMIZER",
    )
    require(isinstance(made.needs_gradient, bool), "needs_gradient is no bool")
    require(dataclasses.is_dataclass(made.state_type), "state_type is no dataclass", hint="@dataclass(frozen=True)")
    one = (made.default_steps is None) != (made.default_budget is None)
    require(one, "default_steps and default_budget are both set or both None", expected="one of them")
    given = made.default_relaxation
    require(given is None or {"name", "top_k"} <= set(given), "its default_relaxation lacks name or top_k")


def check_steps(checks: Checks, subject: Subject) -> None:
    with checks("ids"):
        whole = subject.walk()
        policy, here = whole.problem.policy, subject.setting
        shape = [len(subject.prompts), here.chains, here.length]
        for i in range(len(whole.states)):
            ids = whole.ids(i)
            require(
                list(ids.shape) == shape,
                "current gives another shape",
                detail=f"{list(ids.shape)}",
                expected=f"[P, C, T] = {shape}",
            )
            inside = ids.dtype == torch.long and bool(((ids >= 0) & (ids < policy.vocab_size)).all())
            require(inside, "current gives something that is no token id", detail=str(ids.dtype))
    with checks("repeatable"):
        for seed in (1, 2):
            with global_seed(seed):
                again = subject.walk()
            for a, b in zip(whole.states, again.states, strict=True):
                require(
                    same_state(a, b),
                    "the same noise gives other states the second time",
                    hint="all randomness from noise, all memory in the state",
                )
    with checks("global random state"), global_streams_untouched():
        subject.walk(steps=2)
    with checks("start"):
        _start(subject)
    with checks("state"):
        _state(subject)
    with checks("stopped"):
        held = subject.walk(stopped=(0, 1))
        stays = torch.equal(held.ids(0)[0, 1], held.ids(-1)[0, 1])
        require(stays, "a stopped chain moves", hint="keep_stopped(problem.stopped, old, new)")
    with checks("prompts alone"):
        texts = whole.problem.policy.text(whole.ids(-1))
        for i, prompt in enumerate(subject.prompts):
            alone = subject.walk([prompt])
            require(
                policy.text(alone.ids(-1))[0] == texts[i],
                "a prompt by itself goes another way",
                hint="draw from noise, which has a stream per prompt; no sums or maxima over prompts",
            )
    with checks("needs_gradient"):
        _needs_gradient(subject)


def _start(subject: Subject) -> None:
    text = "a test"
    composition, problem = subject.made(draft=text)
    noise = Noise.for_prompts(problem.prompts, subject.setting.seed, problem.policy.device)
    _, info = composition.sampler.init(problem, noise)
    require(info.scored is not None, "init scores nothing", hint="Info(problem.rescore(start.ids, start.log_prob))")
    for row in info.scored.texts:
        require(
            set(row) == {text},
            "the texts that init scores are not those of the initializer",
            detail=f"{row[:1]} from the draft {text!r}",
            hint="problem.start(noise)",
        )


def _state(subject: Subject) -> None:
    composition, problem = subject.made()
    sampler, noise = composition.sampler, Noise.for_prompts(problem.prompts, 0, problem.policy.device)
    state, _ = sampler.init(problem, noise)
    require(isinstance(state, sampler.state_type), "its state is not of state_type", detail=type(state).__name__)
    for _ in range(2):
        before = leaves(state)
        new, _ = sampler.step(problem, state, noise)
        after = leaves(state)
        same = before[0] == after[0] and all(torch.equal(v, after[1][k]) for k, v in before[1].items())
        require(same, "a step changes the state it is given", hint="make new tensors; the run may take the step again")
        state = new


def _needs_gradient(subject: Subject) -> None:
    composition, problem = subject.made(blind=True)
    noise = Noise.for_prompts(problem.prompts, 0, problem.policy.device)
    needs, refused = composition.sampler.needs_gradient, False
    try:
        state, _ = composition.sampler.init(problem, noise)
        composition.sampler.step(problem, state, noise)
    except RecipeError:
        refused = True
    require(
        refused or not needs,
        "it needs a gradient and takes an energy that has none",
        hint="problem.require_gradient(name) in init",
    )
    require(needs or not refused, "it says that it needs no gradient and refuses an energy that has none")
