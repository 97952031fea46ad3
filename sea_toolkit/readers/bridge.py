"""The bridge between a policy's tokens and a classifier with another tokenizer, and how well it leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.meter import parameters_used
from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.lm.fingerprint import digest_of
from sea_toolkit.lm.policy import Policy
from sea_toolkit.readers.bridge_samples import LENGTH, PROMPTS, Samples, sample
from sea_toolkit.readers.bridge_trial import (
    TOKENS,
    Outputs,
    chosen_tokens,
    own_correlations,
    token_effects,
    token_gradients,
)
from sea_toolkit.readers.fidelity import Fidelity, fidelity_of, mixture_weights
from sea_toolkit.readers.piece_table import PieceTable
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.word_prior import WordPrior, word_scores
from sea_toolkit.util.progress import Progress

Shares = tuple[float, float, float]
"""Of tokens that are one piece, several pieces, and nothing."""

MOST_OUTPUTS = 32
"""A classifier with more outputs has no word prior: it would be a table of that width over the vocabulary."""

_FLOPS = {"cpu": 2e13}
_FLOPS_ELSEWHERE = 1e17
"""A word prior that costs more than this (minutes) is made only when it is asked for."""


@dataclass(frozen=True)
class Measured:
    """What is known of a bridge beyond its table.

    Attributes:
        prior: the scores of single words, and how they go together with the gradient.
        fidelity: for each output.
        probability: shares by the policy's probability over its own texts.
    """

    prior: WordPrior
    fidelity: Sequence[Fidelity]
    probability: Shares


@dataclass(frozen=True)
class Bridge:
    """From the policy's tokens to a classifier's pieces.

    Attributes:
        pieces: of each token.
        table: `[V, D]`, what each token stands for in the classifier's embedding; None for one that takes none.
        measured: None for one that would take long to measure: then the gradient counts alone.
    """

    pieces: PieceTable
    table: Float[Tensor, "V D"] | None = field(repr=False)
    measured: Measured | None = None

    @classmethod
    def by_table(
        cls, pieces: PieceTable, reader: ClassifierReader, policy: Policy, measured: Measured | None = None
    ) -> Bridge:
        """With the images of the tokens in the classifier's embedding, on the policy's device."""
        table = pieces.embeddings(reader.table).to(policy.device) if reader.ids_only is None else None
        return cls(pieces, table, measured)

    @property
    def fingerprint(self) -> str | None:
        """Stands for all that the gradient depends on beside the two models, if there is anything more."""
        return None if self.measured is None else digest_of({}, self.measured.prior.tensors())


def plain_bridge(reader: ClassifierReader, policy: Policy) -> Bridge:
    """The bridge by its table alone."""
    pieces = PieceTable.between(policy.tokenizer, reader.shown.tokenizer, policy.vocab_size)
    return Bridge.by_table(pieces, reader, policy)


def is_affordable(reader: ClassifierReader, bridge: Bridge, policy: Policy) -> bool:
    """Whether measuring takes seconds or a few minutes, by a count of operations that is the same on every machine.

    What reads token ids alone may read one row at a time, and so it is measured only when that is asked for.
    """
    if reader.model.config.num_labels > MOST_OUTPUTS or reader.ids_only is not None:
        return False
    (before, after), *_ = reader.shown.frames([PROMPTS[0]], 1)
    frame, words = len(before) + len(after), sum(map(len, bridge.pieces.pieces))
    tokens = words + frame * len(bridge.pieces.pieces) + 2 * TOKENS * len(PROMPTS) * (frame + LENGTH)
    return 2.0 * parameters_used(reader.model) * tokens <= _FLOPS.get(policy.device.type, _FLOPS_ELSEWHERE)


@own_torch_state()
def measure(
    reader: ClassifierReader,
    policy: Policy,
    bridge: Bridge,
    outputs: Outputs,
    progress: Progress,
    prompts: Sequence[str] = PROMPTS,
) -> Measured:
    """Score single words, and compare them and the gradient with the effects of tokens in texts of the policy.

    Args:
        reader: of the classifier.
        policy: writes the texts.
        bridge: by its table.
        outputs: from these prompts to the outputs `[P, C, L]` of responses, by the bridge's table alone; not asked of
            a classifier that takes no embeddings.
        progress: counts words, then texts.
        prompts: that the policy answers.
    """
    scores = word_scores(reader, bridge.pieces.pieces, progress)
    samples = sample(policy, prompts)
    chosen, single = chosen_tokens(bridge.pieces)
    effects = token_effects(reader, policy, samples, chosen, progress)
    numbers = effects.isfinite().all(-1)  # of texts that the classifier can read
    effects, tokens = effects[numbers], torch.tensor(chosen, device=effects.device)[numbers]
    single = int(numbers[:single].sum())
    if reader.ids_only is None:
        gradients = token_gradients(outputs(samples.prompts), samples, policy.vocab_size).to(scores.device)
        ceilings = own_correlations(reader, samples, policy, progress)
    else:
        gradients, ceilings = torch.zeros_like(scores), [0.0] * scores.shape[1]
    weights, fidelity = [], []
    for k, ceiling in enumerate(ceilings):
        known = gradients[tokens, k], scores[tokens, k], effects[:, k]
        weights.append(mixture_weights(*known))
        fidelity.append(fidelity_of(*known, single, ceiling))
    both = torch.stack(weights)
    device = policy.device
    prior = WordPrior(scores.to(device), both[:, 0].to(device), (both[:, 1] / samples.inverse_length).to(device))
    return Measured(prior, fidelity, shares_of(bridge.pieces, samples))


def shares_of(pieces: PieceTable, samples: Samples) -> Shares:
    """How much of the policy's probability is on tokens of one piece, of several, and of none."""
    counts = torch.tensor([min(2, len(row)) for row in pieces.pieces], device=samples.probability.device)
    one, several, none = (float(samples.probability[counts == n].sum()) for n in (1, 2, 0))
    return one, several, none
