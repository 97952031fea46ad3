"""The conformance kit for plugin authors: does a plugin keep the promises of its kind?

    from sea_toolkit.testing import check_energy

    def test_brevity():
        check_energy(brevity, per_token=0.5)

Each check raises a `ConformanceError` that names the property, and returns the names of the properties that hold. It
takes what the author registers, or the name of an item; the item's options follow by keyword. A `Setting` may
follow it: `check_energy(brevity, Setting(chains=5), per_token=0.5)`. Importing this package imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sea_toolkit.testing.bridges import check_bridge
    from sea_toolkit.testing.conformance import ConformanceError
    from sea_toolkit.testing.energies.check import check_energy
    from sea_toolkit.testing.engines import check_engine
    from sea_toolkit.testing.initializers import check_initializer
    from sea_toolkit.testing.models import check_model
    from sea_toolkit.testing.recipes import check_recipe
    from sea_toolkit.testing.relaxations import check_relaxation
    from sea_toolkit.testing.samplers.check import check_sampler
    from sea_toolkit.testing.schedules import check_schedule
    from sea_toolkit.testing.setting import Setting
    from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_reward, tiny_tokenizer

__all__ = [
    "ConformanceError", "Setting", "check_bridge", "check_energy", "check_engine", "check_initializer", "check_model",
    "check_recipe", "check_relaxation", "check_sampler", "check_schedule", "tiny_model", "tiny_policy", "tiny_reward",
    "tiny_tokenizer",
]  # fmt: skip

_LAZY = {
    "ConformanceError": "conformance",
    "Setting": "setting",
    "check_bridge": "bridges",
    "check_energy": "energies.check",
    "check_engine": "engines",
    "check_initializer": "initializers",
    "check_model": "models",
    "check_recipe": "recipes",
    "check_relaxation": "relaxations",
    "check_sampler": "samplers.check",
    "check_schedule": "schedules",
    "tiny_model": "tiny",
    "tiny_policy": "tiny",
    "tiny_reward": "tiny",
    "tiny_tokenizer": "tiny",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"sea_toolkit.testing.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'sea_toolkit.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
