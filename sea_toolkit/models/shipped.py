"""The probes that come inside the package: a few kilobytes each, with a model card beside them."""

from __future__ import annotations

from pathlib import Path

from sea_toolkit.errors import ModelError
from sea_toolkit.models.named import NamedModel
from sea_toolkit.util.progress import Progress, silent
from sea_toolkit.util.version import DISTRIBUTION

PROBES = Path(__file__).parent / "probes"


class ShippedProbe(NamedModel):
    """A reward head for a catalog policy, read from the package's own folder."""

    name: str
    role = "reward"
    license = "MIT"
    megabytes = 0.003
    policy = "smollm2-135m"
    in_package = True

    @property
    def card(self) -> Path:
        """The model card (Markdown): data, licence, layer, accuracy, limits, command."""
        return PROBES / f"{self.name}.md"

    def find(self) -> Path | None:
        """Path of the safetensors file; None if the installation has lost it."""
        path = PROBES / f"{self.name}.safetensors"
        return path if path.is_file() else None

    def pull(self, progress: Progress = silent) -> Path:
        """The same path: there is nothing to download.

        Raises:
            ModelError: the file is missing from the installation.
        """
        path = self.find()
        if path is None:
            raise ModelError(
                f"the probe {self.name} is missing from {PROBES}",
                hint=f"reinstall the toolkit: pip install --force-reinstall --no-deps {DISTRIBUTION}",
            )
        return path

    def remove(self) -> bool:
        """Nothing to remove: it is part of the package."""
        return False


class Sentiment(ShippedProbe):
    """How positive a text is."""

    name = "sentiment"


class Toxicity(ShippedProbe):
    """How insulting or hateful a text is."""

    name = "toxicity"


class Harmlessness(ShippedProbe):
    """How harmless an answer of an assistant is."""

    name = "harmlessness"
