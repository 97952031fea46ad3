"""From a classifier's name to its scorer: which model, how it is read, and by which road its gradient comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.devices import Placed, Placement
from sea_toolkit.lm.fingerprint import same_vocabulary
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.heads import PairwiseModel
from sea_toolkit.models.loading import load_classifier
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.models.tensor_parallel import refuse_device
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.bridged_scorer import BridgedScorer
from sea_toolkit.readers.make_bridge import bridge_for
from sea_toolkit.readers.pairwise_reader import PairwiseReader, others_for
from sea_toolkit.readers.response_scorer import ResponseScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.sequence_scorer import SequenceScorer
from sea_toolkit.readers.shown_text import Reading
from sea_toolkit.readers.shown_to import shown_to
from sea_toolkit.readers.text_scorer import TextScorer
from sea_toolkit.readers.word_scorer import WordScorer


def classifier_scorer(
    source: Path | str,
    name: str,
    context: Context,
    *,
    reads: Reading = "auto",
    truncate: bool = False,
    template_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    dtype: str | None = None,
    tensor_parallel_size: int | None = None,
    batch: int | None = None,
    against: str | Sequence[str] | None = None,
    load: Callable[[Placed], tuple[Any, Any]] | None = None,
) -> ResponseScorer | TextScorer:
    """The scorer of a classifier, shared by the energies of a run: its weights are read once, and it runs once for each
    response.

    Args:
        source: where the classifier is; two energies with the same one share it.
        name: for messages.
        context: of the run.
        reads, truncate, template_options, device, dtype, tensor_parallel_size, batch, against: see the energy `reward`.
        load: reads model and tokenizer at a place, where they are not those of a sequence classifier at `source`.

    Raises:
        ModelError: unreadable weights.
        RecipeError: prompt and answer are too long for the model, options that it does not have, no such device, or not
            as many processes.
    """
    parts = tensor_parallel_size or 1
    if parts > 1:
        refuse_device(device, name)
    place = Placement.beside(context.policy, device, dtype, parts)
    model, tokenizer = loaded_classifier(source, name, context.finder, place, load)
    if isinstance(model, PairwiseModel):
        if reads != "auto" or truncate or template_options:
            raise RecipeError(
                f"{name} compares answers, and its recipe sets reads, truncate or template_options",
                expected="none of them: it reads a prompt and two answers",
            )
        context.use_model(f"reward:{name}", model)
        others = others_for(against, context)
        compared = ("pairwise scorer", source, place, *others.values())
        return context.load_once(compared, lambda: TextScorer(PairwiseReader(model, tokenizer, name, others)))
    if against is not None:
        raise RecipeError(
            f"{name} scores single answers, and its recipe sets against", expected="a reward that compares answers"
        )
    reader = classifier_reader(
        source, name, context.finder, place, reads=reads, truncate=truncate, template_options=template_options,
        batch=batch, load=load,
    )  # fmt: skip
    return scorer_for(reader, context)


def classifier_outlook(
    source: Path | str, name: str, foresight: Foresight, *, device: str | None = None, dtype: str | None = None
) -> Outlook:
    """What `classifier_scorer` will make, as far as configs and tokenizers tell.

    Args:
        source: where the classifier is.
        name: for messages.
        foresight: of the recipe.
        device, dtype: see the energy `reward`.

    Raises:
        ModelError: its config or its tokenizer cannot be read.
        RecipeError: no such device.
    """
    trust = foresight.finder.trust_remote_code
    road = foresight.road(read_tokenizer(source, name, trust_remote_code=trust))
    model = foresight.model("classifier", source, name, f"reward:{name}", device=device, dtype=dtype)
    if model.skeleton.config.is_encoder_decoder:  # it takes no embeddings
        road = "words"
    return Outlook(road, [model])


def classifier_reader(
    source: Path | str,
    name: str,
    finder: ModelFinder,
    place: Placed,
    *,
    reads: Reading = "auto",
    truncate: bool = False,
    template_options: Mapping[str, Any] | None = None,
    batch: int | None = None,
    load: Callable[[Placed], tuple[Any, Any]] | None = None,
) -> ClassifierReader:
    """The reader of a classifier that scores single answers, made once for all runs of a session; see
    `classifier_scorer`.

    Raises:
        ModelError: unreadable weights.
        RecipeError: the classifier compares answers.
    """
    model, tokenizer = loaded_classifier(source, name, finder, place, load)
    if isinstance(model, PairwiseModel):
        raise RecipeError(f"{name} compares answers", expected="a reward that scores single answers")
    shown = shown_to(model, tokenizer, name, reads, truncate=truncate, template_options=template_options)
    options = repr(sorted((template_options or {}).items()))
    key = ("classifier reader", source, shown.reads, truncate, options, place, batch, name)
    return finder.load_once(key, lambda: ClassifierReader(model, shown, batch))


def loaded_classifier(
    source: Path | str,
    name: str,
    finder: ModelFinder,
    place: Placed,
    load: Callable[[Placed], tuple[Any, Any]] | None,
) -> tuple[Any, Any]:
    """Model and tokenizer, read once."""

    def classifier() -> tuple[Any, Any]:
        return load_classifier(source, place, name, trust_remote_code=finder.trust_remote_code)

    return finder.load_once(("classifier", source, place), classifier if load is None else lambda: load(place))


def scorer_for(reader: ClassifierReader, context: Context) -> ResponseScorer | TextScorer:
    """The scorer of a classifier by the road that it can be read on: token by token, through a bridge if it has other
    tokens than the policy, or as text if it takes no embeddings (with the scores of single words for a gradient, once
    `sea-toolkit bridge` has measured them). Its model is announced.

    Args:
        reader: of texts.
        context: of the run.

    Raises:
        RecipeError: prompt and answer are too long for the model.
    """
    policy, finder, key, bridge = context.policy, context.finder, ("sequence scorer", reader), None
    if reader.ids_only is not None or not same_vocabulary(reader.shown.tokenizer, policy.tokenizer):
        # before the model's tokens are counted: measuring a bridge is no part of a run's cost
        bridge = finder.load_once(("bridge", reader, policy), lambda: bridge_for(reader, policy, finder))
    # a second energy shares the scores of texts at no cost; the passes that it differentiates are counted
    shared = 0.0 if key in context.models else None
    context.use_model(f"reward:{reader.shown.name}", reader.model, flops_per_token=shared)

    def scorer() -> ResponseScorer | TextScorer:
        if bridge is None:
            return SequenceScorer(reader, context)
        if reader.ids_only is None:
            return BridgedScorer(reader, bridge, context)
        return TextScorer(reader) if bridge.measured is None else WordScorer(reader, bridge, context)

    return context.load_once(key, scorer)
