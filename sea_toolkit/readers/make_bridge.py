"""A bridge as it is kept in the cache, or made now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.bridge import Bridge, is_affordable, measure, plain_bridge
from sea_toolkit.readers.bridge_file import read_bridge, write_bridge
from sea_toolkit.readers.bridge_samples import LENGTH, PROMPTS
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader


def bridge_for(reader: ClassifierReader, policy: Policy, finder: ModelFinder) -> Bridge:
    """The bridge of a pair: from the cache if it was measured before, else measured now if that does not take long.

    Args:
        reader: of the classifier.
        policy: whose tokens they are.
        finder: watches the progress.
    """
    kept = read_bridge(reader, policy)
    if kept is not None:
        return kept
    bridge = plain_bridge(reader, policy)
    return measured_bridge(reader, policy, bridge, finder) if is_affordable(reader, bridge, policy) else bridge


def measured_bridge(
    reader: ClassifierReader,
    policy: Policy,
    bridge: Bridge,
    finder: ModelFinder,
    prompts: Sequence[str] = PROMPTS,
) -> Bridge:
    """A bridge that is measured now, whatever it takes; kept in the cache if the prompts are the usual ones.

    Args:
        reader: of the classifier.
        policy: whose tokens they are.
        bridge: of the two, by its table.
        finder: watches the progress.
        prompts: that the policy answers.
    """

    def outputs(prompts: Sequence[str]) -> Callable[[SoftResponse], Tensor]:
        ledger, prefix = Ledger(), policy.prefix(policy.encode(prompts, LENGTH))
        context = Context(policy, prompts, prefix, LENGTH, ledger, Clock(), finder, Meter(ledger))
        return BridgedScorer(reader, bridge, context)

    made = replace(bridge, measured=measure(reader, policy, bridge, outputs, finder.progress, prompts))
    if prompts is PROMPTS:
        write_bridge(reader, policy, made)
    return made
