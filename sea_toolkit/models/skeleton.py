"""A model without its weights: the right class and sizes from its config, on torch's meta device."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from sea_toolkit.core.torch_state import same_random_stream
from sea_toolkit.errors import ModelError
from sea_toolkit.models import folder as folders
from sea_toolkit.models.adapters import adapter_in
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.reading import CLASSES, Role, base_of, config_of


def skeleton(role: Role, source: Path | str, name: str, finder: ModelFinder, base: Path | str | None = None) -> Any:
    """A model as `read_model` would read it, but for its numbers. An adapter is merged into its base, which stays as
    large as it is.

    A classifier whose head no class of transformers has is its body alone: the head is small.

    Args:
        role: as of `read_model`.
        source: a folder, or a Hugging Face id of which only the small files are read.
        name: for messages.
        finder: keeps it, and says whether Python that comes with the model may run.
        base: of an adapter, in the place of the one that it names.

    Raises:
        ModelError: its config cannot be had or read, or no model can be made from it.
    """
    trust = finder.trust_remote_code
    return finder.load_once(("skeleton", role, source, base), lambda: _made(role, source, name, base, trust))


def _made(role: Role, source: Path | str, name: str, base: Path | str | None, trust: bool) -> Any:
    import transformers

    folder = folders.facts_of(source, name, trust_remote_code=trust)
    adapter = adapter_in(folder, name, base)
    folder = folder if adapter is None else base_of(adapter, trust)
    config = config_of(role, folder, name, trust)
    tries: list[Role] = [role, "base"] if role in ("classifier", "tokens") else [role]
    for kind in tries:
        loader: Any = getattr(transformers, CLASSES[kind])
        try:
            with torch.device("meta"), same_random_stream():
                model = loader.from_config(config, trust_remote_code=trust)
        except Exception as error:  # each architecture has its own way to refuse
            failed = error
            continue
        return model.eval().requires_grad_(False)
    raise ModelError(
        f"the size of {name} cannot be told from its config: {type(failed).__name__}: "
        f"{str(failed).strip().partition(chr(10))[0]}",
        expected=f"a config that {CLASSES[role]} takes",
    )


def megabytes(model: torch.nn.Module, dtype: torch.dtype) -> float:
    """MiB of a model's weights in a dtype; weights that several modules share count once."""
    numbers = {id(p): p.numel() for p in model.parameters()}
    return math.fsum(numbers.values()) * dtype.itemsize / 2**20
