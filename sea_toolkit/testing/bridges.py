"""`check_bridge`: does a reward with a tokenizer of its own lead the policy's tokens, and at the right places?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import SeaError
from sea_toolkit.lm.devices import Placement
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.heads import HeadedModel
from sea_toolkit.models.loading import load_classifier
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.classifiers import scorer_for
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_pair import ShownPair
from sea_toolkit.readers.shown_text import ShownText
from sea_toolkit.readers.shown_to import shown_to
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.testing.bridge_reference import (
    common_tokens,
    context_of,
    negated,
    own_cache,
    pulled,
    slope_of,
    whole_text,
)
from sea_toolkit.testing.conformance import Broken, Checks, reported, require
from sea_toolkit.testing.foreign import foreign_classifier
from sea_toolkit.testing.setting import Setting, described

PROPERTIES = {
    "value": "the value of a text is that of the model's own forward pass over the text as its tokenizer cuts it",
    "gradient": "the value is the same where a gradient is asked for",
    "places": "the gradient at a token is that of the pieces which write its bytes, along its row in the table",
    "cache": "other weights in the place of the same model give another gradient",
}
"""What a bridge promises, in the order of the documentation."""

TEXTS = (" the rain in the town", "On the 10th: is it so?", "no  it is\n\nwhat a wonderful thing ", "a")
"""Plain letters, so that what each token writes can be told by decoding; spaces at both ends and inside."""

MakeScorer = Callable[[ClassifierReader, Context], Callable[[SoftResponse], Tensor]]


@reported
def check_bridge(bridge: Any, setting: Setting | None = None, /) -> tuple[str, ...]:
    """Check how a reward with other tokens than the policy's is read.

    Args:
        bridge: a reward model (a folder or a Hugging Face id), to check that the toolkit's bridge works for it; or a
            function `(reader, context) -> scorer` of your own, to check it on a small reward made in code.
        setting: `policy`, `prompts`, `texts`, `hub` and `lacks` count here; texts are of ASCII characters.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
        SeaError: a reward with a head that transformers has no class for, or one that reads pairs.
    """
    setting = setting or Setting()
    checks, policy = Checks(described("bridge", bridge), PROPERTIES, setting.lacks), setting.model
    make: MakeScorer = bridge if callable(bridge) else by_bridge
    finder = ModelFinder(setting.hub or PluginHub.discover())
    texts = list(setting.texts) or list(TEXTS)
    rows = [texts for _ in setting.prompts]
    response = policy.from_text(rows, torch.zeros(len(rows), len(texts), dtype=torch.bool, device=policy.device))
    with own_cache():
        for reader in readers(bridge, policy, finder):
            scorer = make(reader, context_of(policy, setting.prompts, response.shape[2], finder))
            with checks("value"):
                values = _values(reader, scorer, response, setting.prompts, rows)
            with checks("gradient"), torch.enable_grad():
                found = scorer(response.with_gradient_taps()).detach()
                require(_close(found, values), "the value is another one where a gradient is asked for")
            with checks("places"):
                _places(reader, scorer, policy, response, setting.prompts, rows)
            with checks("cache"):
                before = slope_of(scorer, response)
                negative = ClassifierReader(negated(reader), reader.shown)
                other = make(negative, context_of(policy, setting.prompts, response.shape[2], finder))
                agreement = torch.cosine_similarity(before.flatten(), slope_of(other, response).flatten(), dim=0)
                require(
                    float(agreement) < -0.9,
                    "a model with the opposite outputs does not have the opposite gradient",
                    detail=f"cosine {float(agreement):.2f}",
                    hint="keep what was measured under a hash of all weights",
                )
    return checks.result


def readers(bridge: Any, policy: Policy, finder: ModelFinder) -> Iterator[ClassifierReader]:
    """The rewards that are read: the given one, or a small one that is shown the answer alone, then a conversation."""
    if not callable(bridge):
        source = finder.find(str(bridge), "reward")
        model, tokenizer = load_classifier(source, Placement.beside(policy, None, None), str(bridge))
        shown = shown_to(model, tokenizer, str(bridge))
        if isinstance(model, HeadedModel) or isinstance(shown, ShownPair):
            raise SeaError(
                f"{bridge} has a head of its own, or reads pairs",
                expected="a sequence classifier of transformers that reads an answer or a conversation",
                hint="sea-toolkit reward check compares what is read with the model's own forward pass",
            )
        yield ClassifierReader(model, shown)
        return
    model, tokenizer = foreign_classifier()
    for reads in ("response", "chat"):
        yield ClassifierReader(model.to(policy.device), ShownText(tokenizer, "foreign", reads))


def by_bridge(reader: ClassifierReader, context: Context) -> BridgedScorer:
    """The toolkit's own way.

    Raises:
        Broken: the classifier needs no bridge, or can have none.
    """
    scorer = scorer_for(reader, context)
    if not isinstance(scorer, BridgedScorer):
        raise Broken("it is not read through a bridge", hint="a model with embeddings, and with other tokens")
    return scorer


def _values(
    reader: ClassifierReader,
    scorer: Callable[[SoftResponse], Tensor],
    response: SoftResponse,
    prompts: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> Tensor:
    with torch.no_grad():
        values = scorer(response)
        for p, row in enumerate(rows):
            for c, text in enumerate(row):
                ids = torch.tensor([whole_text(reader, prompts[p], text)[1].input_ids], device=values.device)
                own = reader.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].float()
                require(
                    _close(values[p, c], own),
                    "the value of a text is not the model's own",
                    detail=f"{values[p, c].tolist()[:3]} instead of {own.tolist()[:3]} for {text!r}",
                )
    return values


def _places(
    reader: ClassifierReader,
    scorer: Callable[[SoftResponse], Tensor],
    policy: Policy,
    response: SoftResponse,
    prompts: Sequence[str],
    rows: Sequence[Sequence[str]],
) -> None:
    """What every position has in common (the scores of single words) is left out; the rest is that of the pieces."""
    tokens, pieces = common_tokens(policy, reader.shown.tokenizer)
    table = reader.embedding(torch.tensor(pieces, device=policy.device)).detach().float()
    slopes = slope_of(scorer, response)
    ours, own = [], []
    for p, row in enumerate(rows):
        for c, text in enumerate(row):
            count = int((response.content[p, c] > 0.5).sum())
            gradient = pulled(reader, policy, prompts[p], text, response.ids[p, c, :count].tolist())
            if count > 1:
                own.append(_centered(gradient @ table.T))
                ours.append(_centered(slopes[p, c, :count][:, tokens]))
    expected, found = torch.cat(own).flatten(), torch.cat(ours).flatten()
    scale = float(found @ expected / (expected @ expected).clamp(min=torch.finfo(expected.dtype).tiny))
    off = float((found - scale * expected).norm() / found.norm().clamp(min=torch.finfo(found.dtype).tiny))
    require(
        scale > 0 and off < 0.05,
        "the gradient is not that of the pieces which a token writes",
        detail=f"{off:.0%} of it is not",
        hint="compare the bytes that each piece and each token writes, and the row that each token has in the table",
    )


def _centered(rows: Float[Tensor, "T n"]) -> Float[Tensor, "T n"]:
    return rows - rows.mean(0)


def _close(found: Tensor, expected: Tensor) -> bool:
    return torch.allclose(found.float(), expected.float(), rtol=2e-3, atol=2e-3)
