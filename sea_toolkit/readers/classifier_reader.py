"""The reader of a classifier by its source: read once by a process, for all runs and all that look at it."""

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


def classifier_reader(
    source: Path | str,
    name: str,
    finder: ModelFinder,
    place: Placement,
    *,
    reads: Reading = "auto",
    truncate: bool = False,
    template_options: Mapping[str, Any] | None = None,
    batch: int | None = None,
    load: Load | None = None,
) -> tuple[tuple[Hashable, ...], ClassifierReader]:
    """The reader, and a key that stands for all that it depends on but its name.

    Args:
        source: where the classifier is.
        name: for messages.
        finder: keeps what is loaded.
        place: where it runs.
        reads, truncate, template_options, batch: see the energy `reward`.
        load: reads model and tokenizer, where they are not those of a sequence classifier at `source`.

    Raises:
        ModelError: unreadable weights.
        RecipeError: options that do not go with what the classifier reads.
    """

    def classifier(place: Placed) -> tuple[Any, Any]:
        return load_classifier(source, place, name, trust_remote_code=finder.trust_remote_code)

    read = classifier if load is None else load
    model, tokenizer = finder.load_once(("classifier", source, place), lambda: read(place))
    shown = shown_to(model, tokenizer, name, reads, truncate=truncate, template_options=template_options)
    options = repr(sorted((template_options or {}).items()))
    key = ("sequence scorer", source, shown.reads, truncate, options, place, batch)
    return key, finder.load_once((*key, name), lambda: ClassifierReader(model, shown, batch))
