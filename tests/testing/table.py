"""The tables in docs/howto/testing.md: property, promise, mutants, messages. `python -m tests.testing.table`."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from sea_toolkit.registry.records import KINDS
from tests.testing.mutants import Mutant, caught

PAGE = Path(__file__).parents[2] / "docs/howto/testing.md"
BEGIN = "<!-- what follows is written by python -m tests.testing.table -->"
CHECKED = (*KINDS, "bridge")
"""What the kit has a check for."""
MODULES = {kind: kind[:-1] + "ies" if kind.endswith("y") else kind + "s" for kind in CHECKED}
CHECKS = MODULES | {"energy": "energies.check", "sampler": "samplers.check"}
PROPERTIES = {kind: importlib.import_module(f"sea_toolkit.testing.{CHECKS[kind]}").PROPERTIES for kind in CHECKED}
MUTANTS: list[Mutant] = [
    m for module in MODULES.values() for m in importlib.import_module(f"tests.testing.mutants.{module}").MUTANTS
]
WITHOUT_GPU = "it raises RuntimeError"
"""What a tensor on the wrong device gives; where there is no GPU nobody can look."""


def possible(mutant: Mutant) -> bool:
    """Whether this machine can run the check that catches it."""
    return mutant.breaks != "gpu" or torch.cuda.is_available()


def message(mutant: Mutant) -> str:
    """The check's sentence, without numbers."""
    if not possible(mutant):
        return WITHOUT_GPU
    error = caught(mutant)
    return "" if error is None else error.got


def table() -> str:
    """All kinds, in Markdown."""
    lines = [BEGIN, ""]
    for kind, properties in PROPERTIES.items():
        lines += [f"### `check_{kind}`", "", "| property | promise | mutant | message |", "|---|---|---|---|"]
        for name, promise in properties.items():
            for i, mutant in enumerate(m for m in MUTANTS if (m.kind, m.breaks) == (kind, name)):
                first = f"`{name}` | {promise}" if i == 0 else " | "
                lines.append(f"| {first} | {mutant.what} | {message(mutant)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text.partition(BEGIN)[0] + table(), encoding="utf-8")
