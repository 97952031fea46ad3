"""sea_toolkit: align language models at inference time.

Importing this package is cheap: torch comes in with the first name that needs it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import ModelError, NumericalError, PluginError, RecipeError, SeaError
from sea_toolkit.hookspecs import SEA_API, hookimpl

if TYPE_CHECKING:
    from sea_toolkit.api import align, resume
    from sea_toolkit.hub import PluginHub
    from sea_toolkit.policy import Policy
    from sea_toolkit.recipe import Recipe
    from sea_toolkit.response import SoftResponse
    from sea_toolkit.result import Result

__version__ = "0.1.0"
__all__ = [
    "SEA_API", "ModelError", "NumericalError", "PluginError", "PluginHub", "Policy", "Recipe", "RecipeError",
    "Result", "SeaError", "SoftResponse", "align", "hookimpl", "resume",
]  # fmt: skip

_LAZY = {
    "PluginHub": "sea_toolkit.hub",
    "Policy": "sea_toolkit.policy",
    "Recipe": "sea_toolkit.recipe",
    "Result": "sea_toolkit.result",
    "SoftResponse": "sea_toolkit.response",
    "align": "sea_toolkit.api",
    "resume": "sea_toolkit.api",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'sea_toolkit' has no attribute {name!r}")
