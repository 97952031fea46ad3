"""What energies may ask for: a model by name, before and while they are bound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sea_toolkit.models.resolve import resolve_model
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.util.progress import Progress, silent


@dataclass(frozen=True)
class ModelFinder:
    """From names to models, with what the user of this run allows.

    Attributes:
        hub: knows the catalog.
        progress: watches downloads.
        trust_remote_code: whether Python that comes with a model may run; the user's word in this very call, never a
            recipe's or a folder's.
    """

    hub: PluginHub
    progress: Progress = silent
    trust_remote_code: bool = False

    def find(self, name: str, role: str) -> Path | str:
        """Where a model is to be loaded from: a path on this machine, or a Hugging Face id.

        Args:
            name: a catalog name, a local folder or file, or a Hugging Face id.
            role: "policy" (a language model) or "reward".

        Raises:
            ModelError: the name is unknown, has another role, or cannot be had.
        """
        return resolve_model(name, self.hub, role, self.progress)
