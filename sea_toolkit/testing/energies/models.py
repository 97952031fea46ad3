"""Models that an energy runs: each has to be announced, or a run neither counts nor remembers it."""

from __future__ import annotations

import torch

from sea_toolkit.core.meter import unannounced_modules
from sea_toolkit.testing.conformance import require
from sea_toolkit.testing.energies.subject import Subject


def check_models(subject: Subject) -> None:
    """Raises: Broken if the energy runs a model that it has not announced, or the policy without counting it."""
    policy_modules = set(subject.policy.model.modules())
    with unannounced_modules() as seen:
        problem = subject.bound(subject.policy, subject.prompts)
        term, spent = problem.terms[0], problem.ledger.flops
        with torch.no_grad(), term.meter.counting():
            if term.bound.energy is not None:
                term.bound.energy(subject.answers.hard())
            if term.bound.score_text is not None:
                texts = subject.answers.texts()
                prompts = [prompt for prompt, row in zip(subject.prompts, texts, strict=True) for _ in row]
                term.bound.score_text(prompts, [text for row in texts for text in row])
    hidden = sorted({type(module).__name__ for module in seen if module not in policy_modules})
    require(
        not hidden,
        "a model runs that was not announced",
        detail=", ".join(hidden[:3]),
        hint="in bind: model = context.use_model(name, model), before it is run",
    )
    require(
        not seen or problem.ledger.flops > spent,
        "it runs the policy, and the ledger does not know",
        hint='context.ledger.forward("policy", tokens, parameters) at each pass, or context.use_model',
    )
