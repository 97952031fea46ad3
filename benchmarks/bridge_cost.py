"""What a bridge costs: value and slope of 16 texts through it, against the classifier's own pass forward and back.

    python benchmarks/bridge_cost.py REWARD [--rounds 15]

Both in one process, in turns; processor seconds, medians. The classifier's own pass begins with tokens.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from measure import seconds

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.devices import Placement
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.readers.bridge_samples import PROMPTS, sample
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.classifiers import classifier_reader
from sea_toolkit.readers.make_bridge import bridge_for
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.testing.bridge_reference import context_of

TEXTS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reward")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    finder = ModelFinder(PluginHub.discover())
    policy = load_policy(PolicySpec(), finder)
    source = finder.find(options.reward, "reward")
    reader = classifier_reader(source, "reward", finder, Placement.beside(policy, None, None))
    samples = sample(policy, PROMPTS[:TEXTS])
    context = context_of(policy, samples.prompts, samples.response.shape[2], finder)
    scorer = BridgedScorer(reader, bridge_for(reader, policy, finder), context)
    texts = [policy.decode(row) for row in samples.rows]
    rows = [reader.shown.row(prompt, text) for prompt, text in zip(samples.prompts, texts, strict=True)]
    width = max(len(row.ids) for row in rows if row is not None)
    ids = torch.tensor([row.ids + [0] * (width - len(row.ids)) for row in rows if row is not None])
    mask = torch.tensor([[1] * len(row.ids) + [0] * (width - len(row.ids)) for row in rows if row is not None])

    def own() -> None:
        embeds = reader.embedding(ids).detach().requires_grad_()
        value = reader.model(inputs_embeds=embeds, attention_mask=mask).logits[..., 0].float()
        torch.autograd.grad(value.sum(), embeds)

    def bridged() -> None:
        response = SoftResponse.from_ids(samples.response.ids, policy.eos_ids).with_gradient_taps()
        assert response.taps is not None
        response.taps.gradient(scorer(response)[..., 0].sum())

    own(), bridged()
    taken: dict[str, list[float]] = {"own": [], "bridged": []}
    for _ in range(options.rounds):
        for name, work in (("own", own), ("bridged", bridged)):
            taken[name].append(seconds(work, 2, policy.device)[1])
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ratios = sorted(b / a for a, b in zip(taken["own"], taken["bridged"], strict=True))
    print({name: round(1000 * value, 1) for name, value in medians.items()}, "ms of a processor")
    print(f"ratio {medians['bridged'] / medians['own']:.2f}, of single rounds {ratios[0]:.2f} to {ratios[-1]:.2f}")


if __name__ == "__main__":
    main()
