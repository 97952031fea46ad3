"""Pairs of answers out of runs, for the trainers of preferences (DPO and its kin): the aligned one, and the first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.result import Result


def preferences(results: Iterable[Result], *, margin: float = 0.0, conversational: bool = True) -> list[dict[str, Any]]:
    """Rows `prompt`, `chosen`, `rejected` of results, with the energies of both.

    The chosen answer is the aligned one, the rejected one the first, a sample of the policy. There is no row where the
    two are the same text, where the energy fell by no more than `margin`, or where a limit is not kept.

    Args:
        results: of `align`.
        margin: nats by which the energy has to fall.
        conversational: prompts and answers are messages, as trainers of chat models take them; else texts.

    Raises:
        RecipeError: a conversation of several turns where rows are texts, or a margin below 0.
    """
    if not margin >= 0:
        raise RecipeError(f"margin = {margin!r}", expected="nats, 0 or more")
    rows = []
    for result in results:
        before, after = result.energy
        if result.response == result.base_response or not result.kept or not before - after > margin:
            continue
        if not conversational and result.prompt.is_conversation:
            raise RecipeError(
                f"the prompt {str(result.prompt)[:60]!r} has {len(result.prompt.messages)} turns",
                expected="one turn, for rows of texts",
                hint="conversational=True (without --texts)",
            )
        energies = {"energy_chosen": after, "energy_rejected": before if math.isfinite(before) else None}
        rows.append({**_row(result, conversational), **energies})
    return rows


def _row(result: Result, conversational: bool) -> dict[str, Any]:
    if not conversational:
        return {"prompt": str(result.prompt), "chosen": result.response, "rejected": result.base_response}
    answers = {"chosen": result.response, "rejected": result.base_response}
    turns = {name: [{"role": "assistant", "content": text}] for name, text in answers.items()}
    return {"prompt": [message.to_dict() for message in result.prompt.messages], **turns}
