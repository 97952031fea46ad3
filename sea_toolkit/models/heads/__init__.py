"""Heads of reward models that transformers has no class for, read by the names of their tensors; none of their code
runs.

`families` is the table of what is known, `found` looks a checkpoint up in it, `layers` builds the head, and `headed`
puts it on the model's body; `pairwise` is a model that compares two answers. `own` leads from a checkpoint to either.
"""

from __future__ import annotations

from sea_toolkit.models.heads.headed import HeadedModel
from sea_toolkit.models.heads.own import WRAPPED, OwnHead, own_head
from sea_toolkit.models.heads.pairwise import PairwiseModel

__all__ = ["WRAPPED", "HeadedModel", "OwnHead", "PairwiseModel", "own_head"]
