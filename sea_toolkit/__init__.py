"""sea_toolkit: align language models at inference time.

Importing this package is cheap: torch comes in with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import ModelError, NumericalError, PluginError, RecipeError, SeaError
from sea_toolkit.hookspecs import SEA_API, hookimpl
from sea_toolkit.util.version import VERSION

if TYPE_CHECKING:
    from sea_toolkit.api import align, resume
    from sea_toolkit.core.response import SoftResponse
    from sea_toolkit.lm.policy import Policy
    from sea_toolkit.models.finder import ModelFinder
    from sea_toolkit.problem.context import Context
    from sea_toolkit.problem.energy import BoundEnergy, Energy
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.runs.recipe import Recipe
    from sea_toolkit.runs.result import Result

__version__ = VERSION
__all__ = [
    "SEA_API", "BoundEnergy", "Context", "Energy", "ModelError", "ModelFinder", "NumericalError", "PluginError",
    "PluginHub", "Policy", "Recipe", "RecipeError", "Result", "SeaError", "SoftResponse", "align", "hookimpl", "resume",
]  # fmt: skip

_LAZY = {
    "BoundEnergy": "sea_toolkit.problem.energy",
    "Context": "sea_toolkit.problem.context",
    "Energy": "sea_toolkit.problem.energy",
    "ModelFinder": "sea_toolkit.models.finder",
    "PluginHub": "sea_toolkit.registry.hub",
    "Policy": "sea_toolkit.lm.policy",
    "Recipe": "sea_toolkit.runs.recipe",
    "Result": "sea_toolkit.runs.result",
    "SoftResponse": "sea_toolkit.core.response",
    "align": "sea_toolkit.api",
    "resume": "sea_toolkit.api",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'sea_toolkit' has no attribute {name!r}")
