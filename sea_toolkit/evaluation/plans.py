"""What the prompts of a comparison or a sweep may be, and what its rows are tied to: prompts, versions, code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.fingerprint import weights_fingerprint
from sea_toolkit.lm.policy import Policy
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.manifest import reading
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.version import DISTRIBUTION, VERSION


def check_lists(**given: Any) -> None:
    """Raises: RecipeError if something that is a list here is one text or one number: a text is a list of letters."""
    for name, value in given.items():
        if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
            raise RecipeError(f"{name} is {value!r}", expected="a list", hint=f"{name}=[{value!r}]")


def refuse_repeated(texts: Sequence[str]) -> None:
    """Raises: RecipeError if a prompt is there twice."""
    twice = next((t for i, t in enumerate(texts) if t in texts[:i]), None)
    if twice is not None:
        raise RecipeError(
            f"the prompt {twice[:60]!r} is there twice", expected="different prompts: they are the sample"
        )


def asked_of(texts: Sequence[Prompt]) -> dict[str, Any]:
    """The prompts, and the columns of their table where some are read."""
    columns = [dict(text.columns) for text in texts]
    return {"prompts": [text.to_data() for text in texts], **({"columns": columns} if any(columns) else {})}


def prompts_of(asked: dict[str, Any]) -> list[Prompt]:
    """What `asked_of` was given."""
    prompts = [Prompt.of(data) for data in asked["prompts"]]
    columns = asked.get("columns")
    return [prompt.with_columns(row) for prompt, row in zip(prompts, columns, strict=True)] if columns else prompts


def fingerprints(composition: Composition) -> dict[str, str]:
    """Of terms that depend on more than the recipe says: the file of a function, of a schema."""
    return {part.label: part.energy.fingerprint for part in composition.parts if part.energy.fingerprint is not None}


def versions(policy: Policy) -> dict[str, Any]:
    """What decides numbers besides the recipe: the toolkit, torch, the policy and how it is read."""
    return {
        DISTRIBUTION: VERSION,
        **{name: version(name) for name in ("torch", "transformers")},
        "policy": weights_fingerprint(policy.model),
        "reading": reading(policy),
        "device": policy.device.type,
        "dtype": str(policy.dtype).removeprefix("torch."),
    }
