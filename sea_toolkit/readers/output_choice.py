"""One number of a classifier's outputs: one of them, a weighted sum, or an expectation over classes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import RecipeError, did_you_mean

Activation = Literal["none", "sigmoid", "softmax"]
"""What is made of the outputs first: nothing; a probability of each; probabilities of classes, which sum to 1."""

Output = str | int | Mapping[str, float] | None

_COMBINED = "score"
"""The output of a model that combines the others into one itself."""


def labels_of(config: Any) -> dict[str, int]:
    """The names of a classifier's outputs, and their places."""
    return {str(label): int(i) for i, label in config.id2label.items()}


def output_index(config: Any, name: str, wanted: str | int | None) -> int:
    """The place of the output that a recipe names; of several, the combined one if none is named.

    Args:
        config: of the classifier.
        name: of the classifier, for messages.
        wanted: a label or a place.

    Raises:
        RecipeError: no such output, or several and none named.
    """
    labels = labels_of(config)
    if wanted is None:
        if len(labels) > 1 and _COMBINED not in labels:
            raise RecipeError(
                f"{name} has {len(labels)} outputs",
                expected=f"output = one of {list(labels)}",
                hint='or weights, such as output = { "' + next(iter(labels)) + '" = 1.0 }',
            )
        return labels.get(_COMBINED, 0)
    if isinstance(wanted, int) and 0 <= wanted < len(labels):
        return wanted
    if str(wanted) not in labels:
        raise RecipeError(f"{name} has no output {wanted!r}", hint=did_you_mean(str(wanted), labels))
    return labels[str(wanted)]


@dataclass(frozen=True)
class OutputChoice:
    """From a classifier's outputs to one number: Σ wᵢ a(zᵢ).

    With softmax, weights are the values of classes, and the number is their expectation: a rating in stars.

    Attributes:
        weights: `[L]`.
        activation: a.
    """

    weights: Tensor
    activation: Activation

    @classmethod
    def of(cls, config: Any, name: str, wanted: Output, activation: Activation = "none") -> OutputChoice:
        """The choice of a recipe.

        Args:
            config: of the classifier.
            name: of the classifier, for messages.
            wanted: an output by label or place, or a weight for each of several.
            activation: see `Activation`.

        Raises:
            RecipeError: no such output; no weights, or one that is no number; softmax of a single output.
        """
        count = len(labels_of(config))
        if activation == "softmax" and count == 1:
            raise RecipeError(
                f"{name} has one output, whose softmax is always 1", expected='activation = "none" or "sigmoid"'
            )
        table = wanted if isinstance(wanted, Mapping) else {wanted: 1.0}
        if not table:
            raise RecipeError(f"the outputs of {name} have no weights", expected="output = { LABEL = 1.0, … }")
        weights = torch.zeros(count)
        for label, weight in table.items():
            if not math.isfinite(weight):
                raise RecipeError(f"the output {label!r} of {name} has the weight {weight}", expected="a finite number")
            weights[output_index(config, name, label)] += float(weight)
        return cls(weights, activation)

    @property
    def largest(self) -> int:
        """The output with the largest weight."""
        return int(self.weights.abs().argmax())

    def __call__(self, outputs: Float[Tensor, "*rows L"]) -> Float[Tensor, "*rows"]:
        """The number of each row; NaN where an output that counts is NaN."""
        if self.activation == "sigmoid":
            outputs = outputs.sigmoid()
        elif self.activation == "softmax":
            outputs = outputs.softmax(-1)
        at = self.weights.nonzero()[:, 0].tolist() or [0]
        return sum((self.weights[i].item() * outputs[..., i] for i in at), start=torch.zeros_like(outputs[..., 0]))
