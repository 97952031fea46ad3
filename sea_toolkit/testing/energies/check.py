"""`check_energy`: an energy keeps its promises, in whichever of its forms it has."""

from __future__ import annotations

from typing import Any

from sea_toolkit.testing.conformance import reported
from sea_toolkit.testing.energies.models import check_models
from sea_toolkit.testing.energies.responses import check_responses
from sea_toolkit.testing.energies.subject import Subject
from sea_toolkit.testing.energies.texts import check_texts
from sea_toolkit.testing.setting import Setting, under_test

PROPERTIES = {
    "builds": "it registers, takes these options, and binds",
    "models": "every model that it runs is announced: counted in the ledger and the budget, known to the manifest",
    "shape": "one number per prompt and chain: [P, C] of a response, [N] of N texts",
    "dtype": "floating-point numbers, on the policy's device",
    "finite": "finite for hard, relaxed, empty and unfinished answers",
    "repeatable": "the same answer has the same energy each time",
    "global random state": "no call moves torch's or numpy's global stream, and no weight from bind is left to it",
    "one-hot = text": "a text has one energy: as ids, as one-hot weights over few or all tokens, and by score_text",
    "gradient": "the gradient is that of the value, by finite differences, and finite at hard answers",
    "readings": "the response is read through its methods alone, which the tilted samplers see",
    "chains permute": "chains in another order give the same energies in that order",
    "prompts permute": "prompts in another order give the same energies in that order",
    "chains alone": "a chain has the same energy by itself as among others; of a class that says joint = True, another",
    "prompts alone": "a prompt has the same energies by itself as in a batch",
    "padding": "positions after the text and candidates without weight change nothing",
    "dead positions": "what stands after the end of text changes nothing and has no gradient",
    "inputs": "nothing that is handed over is changed",
    "bfloat16": "it works with a policy in bfloat16: finite values and gradients",
    "gpu": "it works on a GPU, with the values of the CPU",
}
"""What an energy promises, in the order of the documentation."""


@reported
def check_energy(energy: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check an energy on a small problem: tiny policy, three prompts, a few random answers.

    An energy that only scores texts has no gradient and no relaxed answers: what concerns those is left out of the
    result, and so is "chains alone" of one that says `joint = True`: its chains have to see each other. Whatever else
    it lacks on purpose is named in the setting: `Setting(lacks=["gradient"])` for a gradient that is biased by design.

    Args:
        energy: what is registered (a function of a response, a function of prompts and texts, a class with `bind`),
            or the name of an installed energy.
        setting: policy, prompts, texts; see `Setting`.
        **options: of the energy, as in a recipe.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    setting = setting or Setting()
    with under_test("energy", energy, PROPERTIES, setting) as (checks, hub, item):
        with checks("builds"):
            subject = Subject(hub, item, options, setting)
            if subject.energy.joint:
                checks.lacks |= {"chains alone"}
        with checks("models"):
            check_models(subject)
        if subject.term.differentiable:
            check_responses(checks, subject)
        if subject.term.bound.score_text is not None:
            check_texts(checks, subject)
    return checks.result
