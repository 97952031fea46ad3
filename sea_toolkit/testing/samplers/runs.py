"""`check_sampler`: the law of the chains, and whole runs."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sea_toolkit.lm.policy import Policy
from sea_toolkit.runs.run import Run
from sea_toolkit.samplers.base import Law, sampler_class
from sea_toolkit.testing.conformance import Checks, require
from sea_toolkit.testing.runs import left_behind
from sea_toolkit.testing.samplers.subject import Subject
from sea_toolkit.testing.toys import Toy, energies_of, measure

PROMPTS, CHAINS = 32, 16
"""Prompts: they are independent even where the chains of one prompt are coupled."""


def check_law(checks: Checks, subject: Subject) -> None:
    setting, sampler = subject.setting, sampler_class(subject.item)
    stated = sampler.law
    if setting.law is None and stated.kind == "none":
        return
    # a term that scores texts alone is part of the energy where the sampler takes such terms
    toy = Toy(5, 3, reference=0.5, text_term=sampler.needs_gradient != "every-term")
    with checks("law"):
        if setting.law is not None:
            law = setting.law(energies_of(toy))
        else:
            require(
                stated.over_responses,
                "it states a law that cannot be enumerated here",
                detail=str(stated),
                hint='Setting(law=…), or a test of your own and Setting(lacks=["law"])',
            )
            law = (-_beta(subject, stated) * energies_of(toy)).softmax(-1)
        distance = measure(
            toy,
            {"name": subject.item.qualified, **subject.options},
            law=law,
            prompts=PROMPTS,
            chains=CHAINS,
            burn=setting.burn,
            steps=setting.steps,
            seed=setting.seed,
            hub=subject.hub,
        )
        numbers = (
            f"total variation {distance.tv:.3f}, {distance.allowed:.3f} allowed, effective samples {distance.ess:.0f}"
        )
        require(
            distance.ess >= 400,
            "its chains move too little to be compared with the law",
            detail=numbers,
            hint="more `steps` in the setting, or options that mix faster",
        )
        require(
            bool(distance),
            "its chains do not follow the law it states",
            detail=numbers,
            hint="more `burn` in the setting if it mixes slowly; else look at the acceptance ratio",
        )


def _beta(subject: Subject, law: Law) -> float:
    """The inverse temperature that the law names: the value of that option, given or by default."""
    if law.beta is None:
        return 1.0
    defaults = {option.name: option.default for option in subject.item.options}
    beta = subject.options.get(law.beta, defaults[law.beta])
    require(
        isinstance(beta, int | float) and not isinstance(beta, bool),
        "the inverse temperature of its law is no number",
        detail=f"{law.beta} = {beta!r}",
        hint=f"{law.beta} as a plain number in this check",
    )
    return float(beta)


def check_runs(checks: Checks, subject: Subject) -> None:
    with checks("resume"), tempfile.TemporaryDirectory() as folder:
        _resume(subject, Path(folder))
    most = 12.0 * subject.setting.chains
    with checks("budget"):
        composition, problem = subject.build(toy=True, budget=most)
        with _tokens_through(problem.policy) as seen:
            run = Run(composition, problem, stop_after=1000)
            start = problem.ledger.flops
            run.execute()
        spent = problem.ledger.samples
        require(
            run.step < 1000,
            "it never comes to the end of its budget",
            detail=f"{spent:.3g} of {most:g} samples",
            hint="count what runs through a model: problem.ledger.forward(…)",
        )
        require(
            spent <= 1.25 * most,
            "it spends more than its budget",
            detail=f"{spent:.3g} of {most:g} samples",
            hint="look at problem.clock.budget, and do less in a step",
        )
    with checks("ledger"):
        counted, real = problem.ledger.flops - start, 2.0 * problem.policy.body_parameters * sum(seen)
        require(
            counted >= 0.9 * real,
            "it runs tokens through the policy that the ledger does not know",
            detail=f"{counted / real:.0%} are counted",
            hint="decode(…, ledger=problem.ledger)",
        )


def _resume(subject: Subject, folder: Path) -> None:
    def run(name: str, stop_after: int | None = None) -> Run:
        composition, problem = subject.build(steps=5)
        return Run(composition, problem, folder=folder / name, checkpoint_every=2, stop_after=stop_after)

    for name in ("whole", "cut"):
        (folder / name).mkdir()
    run("whole").execute()
    run("cut", stop_after=3).execute()
    again = run("cut")
    again.resume()
    again.execute()
    whole, cut = left_behind(folder / "whole"), left_behind(folder / "cut")
    wrong = [k for k in whole[0] if k not in cut[0] or not torch.equal(whole[0][k], cut[0][k])]
    require(
        not wrong and whole[0].keys() == cut[0].keys(),
        "after a resume the state is another one",
        detail=", ".join(wrong[:3]),
        hint="everything the next step needs belongs in the state",
    )
    for what, a, b in zip(("counts", "result", "trace"), whole[1:], cut[1:], strict=True):
        require(
            a == b,
            "after a resume the run goes another way",
            detail=what,
            hint="everything the next step needs belongs in the state",
        )


@contextmanager
def _tokens_through(policy: Policy) -> Iterator[list[int]]:
    """Tokens that run through the policy's body within the block, one number for each pass."""
    seen: list[int] = []

    def count(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        inputs = [x for x in (*args, kwargs.get("input_ids"), kwargs.get("inputs_embeds")) if isinstance(x, Tensor)]
        seen.append(inputs[0].shape[0] * inputs[0].shape[1])

    hook = policy.backbone.base.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()
