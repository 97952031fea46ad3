"""Heads of reward models that transformers has no class for, read by the names of their tensors; none of their code
runs.

`families` is the table of what is known, `found` looks a checkpoint up in it, `layers` builds the head, and `headed`
puts it on the model's body.
"""

from __future__ import annotations

from sea_toolkit.models.heads.found import FoundHead, find_head, transformers_head
from sea_toolkit.models.heads.headed import HeadedModel
from sea_toolkit.models.heads.layers import Head, read_head

__all__ = ["FoundHead", "Head", "HeadedModel", "find_head", "read_head", "transformers_head"]
