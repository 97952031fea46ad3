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
from sea_toolkit.readers.bridge_file import bridge_key, read_bridge, write_bridge
from sea_toolkit.readers.bridge_samples import LENGTH, PROMPTS
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader


def bridged_scorer(reader: ClassifierReader, context: Context) -> BridgedScorer:
    """The outputs of a classifier with a tokenizer of its own, for the responses of a run."""
    policy, finder = context.policy, context.finder
    bridge = finder.load_once(("bridge", reader, policy), lambda: bridge_for(reader, policy, finder))
    return BridgedScorer(reader, bridge, context)


def bridge_for(reader: ClassifierReader, policy: Policy, finder: ModelFinder) -> Bridge:
    """The bridge of a pair: from the cache if it was measured before, else measured now if that does not take long.

    Args:
        reader: of the classifier.
        policy: whose tokens they are.
        finder: watches the progress.
    """
    key, bridge = bridge_key(reader, policy), plain_bridge(reader, policy)
    measured = read_bridge(key, policy.device)
    if measured is None and is_affordable(reader, bridge, policy):
        return measured_bridge(reader, policy, finder, bridge=bridge, key=key)
    return replace(bridge, measured=measured)


def measured_bridge(
    reader: ClassifierReader,
    policy: Policy,
    finder: ModelFinder,
    prompts: Sequence[str] = PROMPTS,
    *,
    bridge: Bridge | None = None,
    key: str | None = None,
) -> Bridge:
    """A bridge that is measured now, whatever it takes; kept in the cache if the prompts are the usual ones.

    Args:
        reader: of the classifier.
        policy: whose tokens they are.
        finder: watches the progress.
        prompts: that the policy answers.
        bridge: by its table, if it is there already.
        key: of the pair, if it is known already.
    """
    bridge = plain_bridge(reader, policy) if bridge is None else bridge

    def outputs(prompts: Sequence[str]) -> Callable[[SoftResponse], Tensor]:
        ledger, prefix = Ledger(), policy.prefix(policy.encode(prompts, LENGTH))
        context = Context(policy, prompts, prefix, LENGTH, ledger, Clock(), finder, Meter(ledger))
        return BridgedScorer(reader, bridge, context)

    measured = measure(reader, policy, bridge, outputs, finder.progress, prompts)
    if prompts == PROMPTS:
        write_bridge(bridge_key(reader, policy) if key is None else key, measured)
    return replace(bridge, measured=measured)
