"""Which energy reads a reward model that is no classifier of whole texts: its config or its chat template tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sea_toolkit.energies.judge import forms as guards
from sea_toolkit.energies.judge.energy import Judge
from sea_toolkit.energies.process_reward import forms as steps
from sea_toolkit.energies.process_reward.energy import ProcessReward
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import architectures
from sea_toolkit.models.reading import read_tokenizer


def family_energy(
    model: str,
    source: Path | str,
    finder: ModelFinder,
    *,
    truncate: bool,
    template_options: Mapping[str, Any] | None,
) -> tuple[Judge | ProcessReward, str] | None:
    """The energy that reads a model as its family does, and what to say of it; None for any other model.

    Args:
        model: its name in the recipe.
        source: where it comes from.
        finder: whether Python that comes with it may run.
        truncate: see the energy.
        template_options: see the energy.

    Raises:
        ModelError: there is no such model, or no tokenizer beside a language model.
    """
    options: dict[str, Any] = {
        "truncate": truncate,
        "template_options": None if template_options is None else dict(template_options),
    }
    kinds = architectures(source, model, finder.trust_remote_code)
    family = steps.family_of(kinds)
    if family is not None:
        return ProcessReward(model=model, **options), f"a process reward ({family}), read by the energy process-reward"
    if any(kind.endswith("ForCausalLM") for kind in kinds):
        template = read_tokenizer(source, model, trust_remote_code=finder.trust_remote_code).chat_template
        guard = guards.family_of(template if isinstance(template, str) else None)
        if guard is not None:
            return Judge(model=model, **options), f"a guard ({guard}), read by the energy judge"
    return None
