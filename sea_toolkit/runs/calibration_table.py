"""What `sea-toolkit calibrate` keeps in a recipe: the numbers behind `scale = "base-std"` and `want`, and where from.

The terms go on saying what is meant, and the table says what it comes to: it can be measured again for other prompts or
another policy, and a term that was changed since is noticed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import Field

from sea_toolkit.models.policy_spec import Strict

BASE_STD = "base-std"
"""The scale that is measured: the standard deviation over the policy's own answers."""

Positive = Annotated[float, Field(gt=0)]


class CalibratedTerm(Strict):
    """The numbers of one term.

    Attributes:
        term: stands for its name and options.
        deviation: over the base answers to a prompt.
        want: the target that `weight` leads to.
        weight: that leads there, for one deviation; None for a term whose weight the recipe says.
    """

    term: str
    deviation: Positive
    want: float | None = None
    weight: float | None = Field(default=None, ge=0)


class CalibrationTable(Strict):
    """The table `[calibration]` of a recipe.

    Attributes:
        policy: whose answers these were.
        max_new_tokens: their length, at most.
        prompts: how many.
        samples: answers per prompt.
        seed: of the draws.
        version: of this package.
        others: stands for the weights beside which those of `want` were found; None if there are none.
        terms: label → numbers.
    """

    policy: str
    max_new_tokens: int = Field(gt=0)
    prompts: int = Field(gt=0)
    samples: int = Field(gt=0)
    seed: int = Field(ge=0)
    version: str
    others: str | None = None
    terms: dict[str, CalibratedTerm] = Field(default_factory=dict)


def digest(*data: Any) -> str:
    """Twelve digits of the SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()[:12]
