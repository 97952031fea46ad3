"""What Python calls take by name to lay over a recipe: for type checkers, shared by all that pass it on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from sea_toolkit.lm.policy import Template
from sea_toolkit.models.policy_spec import Attention, DType
from sea_toolkit.runs.overrides import Table


class PolicySettings(TypedDict, total=False):
    """The recipe's policy."""

    model: str | None
    device: str | None
    dtype: DType | None
    attention: Attention | None
    template: Template | None
    system: str | None
    template_options: Mapping[str, Any] | None


class SamplingSettings(TypedDict, total=False):
    """How answers are drawn; a draft is one text or one for each prompt, as the call has one prompt or many."""

    sampler: Table | None
    chains: int | None
    steps: int | None
    budget: float | None
    relaxation: Table | None
    initializer: Table | None
    constraints: Sequence[Mapping[str, Any]] | None
    rewrite: int | Mapping[str, Any] | None
    max_new_tokens: int | None
    seed: int | None
