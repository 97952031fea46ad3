"""`check_sampler`: the law it states, and what the run loop relies on."""

from __future__ import annotations

from typing import Any

from sea_toolkit.samplers.base import sampler_class
from sea_toolkit.testing.conformance import reported
from sea_toolkit.testing.samplers.runs import check_law, check_runs
from sea_toolkit.testing.samplers.steps import check_reads_budget, check_steps
from sea_toolkit.testing.samplers.subject import Subject
from sea_toolkit.testing.setting import Setting, under_test

PROPERTIES = {
    "builds": "it registers as a class that derives from Sampler, takes these options, and starts",
    "ids": "current gives ids [P, C, T] of the vocabulary (int64)",
    "repeatable": "the same noise gives the same states",
    "global random state": "neither torch's nor numpy's global random stream is touched",
    "start": "the first texts scored are those of the initializer: the start is a candidate",
    "needs_gradient": "it takes energies that have the gradients it says it needs, and no others",
    "reads_budget": "it looks at the budget, and at how much of it is spent, no more than it says",
    "state": "a step leaves the state it is given as it is",
    "stopped": "a chain that is stopped stays where it is",
    "prompts alone": "a prompt takes the same way by itself as among others",
    "law": "its chains follow the law it states, on a language small enough to be enumerated",
    "resume": "a run that is stopped and resumed leaves the bytes of one in one piece",
    "budget": "a run ends when its budget is spent, a quarter over it at most",
    "ledger": "what it runs through the policy is counted",
}
"""What a sampler promises, in the order of the documentation."""


@reported
def check_sampler(sampler: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check a sampler on tiny problems: seconds on one CPU thread, most of them for the law.

    The chains of `Law.target` and `Law.limit` are compared with exp(−β E), where β is the option that the law names, or
    1; `Law.none` claims nothing. Another law is handed over in the setting, `Setting(law=lambda energies: …)`, or shown
    in a test of its own and named there: `Setting(lacks=["law"])`.

    Args:
        sampler: the class that is registered, or the name of an installed sampler.
        setting: prompts, chains, length, `law`, `burn` and `steps`; see `Setting`.
        **options: of the sampler.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    setting = setting or Setting()
    with under_test("sampler", sampler, PROPERTIES, setting) as (checks, hub, item):
        with checks("builds"):
            sampler_class(item)
            subject = Subject(hub, item, options, setting)
            subject.walk(steps=1)
        check_steps(checks, subject)
        check_reads_budget(checks, subject)
        check_law(checks, subject)
        check_runs(checks, subject)
    return checks.result
