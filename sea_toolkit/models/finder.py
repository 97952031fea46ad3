"""From names to models, with what the user of this call allows; what is loaded stays loaded for as long as it lives."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sea_toolkit.models.resolve import resolve_model
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.util.process_wide import ONE_AT_A_TIME
from sea_toolkit.util.progress import Progress, silent

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class ModelFinder:
    """Finds models by name, and keeps those that are loaded.

    Attributes:
        hub: knows the catalog.
        progress: watches downloads.
        trust_remote_code: whether Python that comes with a model may run; the user's word in this very call, never a
            recipe's or a folder's.
    """

    hub: PluginHub
    progress: Progress = silent
    trust_remote_code: bool = False
    _loaded: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def find(self, name: str, role: str) -> Path | str:
        """Where a model is to be loaded from: a path on this machine, or a Hugging Face id.

        Args:
            name: a catalog name, a local folder or file, or a Hugging Face id.
            role: "policy" (a language model) or "reward".

        Raises:
            ModelError: the name is unknown, has another role, or cannot be had.
        """
        return resolve_model(name, self.hub, role, self.progress)

    def load_once(self, key: Hashable, load: Callable[[], Loaded]) -> Loaded:
        """What `load` returns, called once per key: energies that name the same model share it, those of runs in other
        threads too.

        Args:
            key: everything that the result depends on, such as ("classifier", source, device, dtype).
            load: reads the model.
        """
        with ONE_AT_A_TIME:
            if key not in self._loaded:
                self._loaded[key] = load()
            loaded: Loaded = self._loaded[key]
            return loaded
