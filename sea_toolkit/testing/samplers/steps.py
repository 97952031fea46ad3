"""`check_sampler`: what single steps promise."""

from __future__ import annotations

from typing import Any

import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.samplers.base import sampler_class
from sea_toolkit.testing.conformance import Broken, Checks, global_seed, global_streams_untouched, require
from sea_toolkit.testing.samplers.recording import RecordingClock
from sea_toolkit.testing.samplers.subject import Subject, leaves, letters_wanted, same_state
from sea_toolkit.testing.tiny import tiny_reward

ROUNDS, ROOM = 4, 64
"""Rounds that are looked at in the check of the budget, and answers for each chain that the budget has room for: none
of these rounds is the last, however dear a step is."""


def check_steps(checks: Checks, subject: Subject) -> None:
    with checks("ids"):
        whole = subject.walk()
        policy, setting = whole.problem.policy, subject.setting
        shape = [len(subject.prompts), setting.chains, setting.length]
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
        with global_seed(1):
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
        held = subject.walk(stopped=1)
        stays = torch.equal(held.ids(0)[:, 1], held.ids(-1)[:, 1])
        require(stays, "a stopped chain moves", hint="select_chains(problem.stopped, old, new)")
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
    composition, problem = subject.build(draft=text)
    noise = Noise.for_prompts(problem.prompts, subject.setting.seed, problem.policy.device)
    _, info = composition.sampler.init(problem, noise)
    require(
        info.scored is not None, "init scores nothing", hint="Info(problem.score_as_text(start.ids, start.log_prob))"
    )
    assert info.scored is not None
    for row in info.scored.texts:
        require(
            set(row) == {text},
            "the texts that init scores are not those of the initializer",
            detail=f"{row[:1]} from the draft {text!r}",
            hint="problem.start(noise)",
        )


def _state(subject: Subject) -> None:
    composition, problem = subject.build()
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
    """Take steps on an energy in which only the terms that the sampler declares to need have a gradient."""
    needs = sampler_class(subject.item).needs_gradient
    energies: dict[str, dict[str, Any]] = {
        "none": {"reference": False, "rewards": [letters_wanted]},
        "any-term": {"rewards": [letters_wanted]},
        "any-reward": {"rewards": [letters_wanted, tiny_reward()]},
        "any-guide": {"rewards": [letters_wanted, tiny_reward()]},
        "every-term": {},
    }
    try:
        subject.walk(steps=2, **energies[needs])
    except Exception as error:
        raise Broken(
            "it needs more gradients than it says",
            detail=f"needs_gradient = {needs!r}, and it raises {type(error).__name__}: {error}",
            hint="another needs_gradient; the core then refuses energies that do not fit",
        ) from error


def check_reads_budget(checks: Checks, subject: Subject) -> None:
    """Check what the sampler reads from the clock, and whether its first steps are the same with more of a budget."""
    reads = sampler_class(subject.item).reads_budget
    with checks("reads_budget"):
        clock = RecordingClock()
        short = _budgeted(subject, ROOM, clock)
        allowed = {"never": set(), "last-round": {"left"}, "always": {"budget", "left", "progress"}}[reads]
        require(
            clock.asked <= allowed,
            "it looks at its budget more than it says",
            detail=f"reads_budget = {reads!r}, and it asks the clock for {' and '.join(sorted(clock.asked))}",
            hint="another reads_budget, or do not look",
        )
        if reads == "last-round":
            long = _budgeted(subject, 2 * ROOM, RecordingClock())
            same = all(same_state(a, b) for a, b in zip(short, long, strict=True))
            require(same, "before its last round it goes another way with a larger budget")


def _budgeted(subject: Subject, answers: int, clock: RecordingClock) -> list[Any]:
    """The states of the first rounds of a run whose budget is so many answers for each chain."""
    budget = float(answers * subject.setting.chains)
    composition, problem = subject.build(toy=True, clock=clock, budget=budget)
    sampler, noise = composition.sampler, Noise.for_prompts(problem.prompts, subject.setting.seed)
    clock.budget, problem.ledger.sample_flops = budget, problem.sample_flops
    with clock.recording():
        states = [sampler.init(problem, noise)[0]]
    for step in range(ROUNDS - 1):
        clock.step, clock.progress = step, (step + 1) / answers
        clock.left = budget - problem.ledger.samples
        with clock.recording():
            states.append(sampler.step(problem, states[-1], noise)[0])
    return states
