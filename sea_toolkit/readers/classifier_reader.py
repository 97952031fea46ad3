"""A classifier and its reader by the classifier's source: made once, for all runs and all that look at it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any

from sea_toolkit.lm.devices import Placed, Placement
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_classifier
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import Reading
from sea_toolkit.readers.shown_to import shown_to

Load = Callable[[Placed], tuple[Any, Any]]
"""Reads a model and its tokenizer at a place."""


def loaded_classifier(
    source: Path | str, name: str, finder: ModelFinder, place: Placement, load: Load | None = None
) -> tuple[Any, Any]:
    """A classifier and its tokenizer.

    Args:
        source: where the classifier is.
        name: for messages.
        finder: keeps what is loaded.
        place: where it runs.
        load: reads model and tokenizer, where they are not those of a sequence classifier at `source`.

    Raises:
        ModelError: unreadable weights.
    """

    def classifier() -> tuple[Any, Any]:
        if load is not None:
            return load(place)
        return load_classifier(source, place, name, trust_remote_code=finder.trust_remote_code)

    return finder.load_once(("classifier", source, place), classifier)


def classifier_reader(
    model: Any,
    tokenizer: Any,
    source: Path | str,
    name: str,
    finder: ModelFinder,
    place: Placement,
    *,
    reads: Reading = "auto",
    truncate: bool = False,
    template_options: Mapping[str, Any] | None = None,
    batch: int | None = None,
) -> tuple[tuple[Hashable, ...], ClassifierReader]:
    """The reader, and a key that stands for all that it depends on but its name.

    Args:
        model, tokenizer: from `loaded_classifier`.
        source, name, finder, place: as there.
        reads, truncate, template_options, batch: see the energy `reward`.

    Raises:
        ModelError: the model cannot be run on token ids.
        RecipeError: options that do not go with what the classifier reads.
    """
    shown = shown_to(model, tokenizer, name, reads, truncate=truncate, template_options=template_options)
    options = repr(sorted((template_options or {}).items()))
    key = ("sequence scorer", source, shown.reads, truncate, options, place, batch)
    return key, finder.load_once((*key, name), lambda: ClassifierReader(model, shown, batch))
