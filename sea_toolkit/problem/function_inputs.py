"""What a function of texts is given besides texts: columns, messages, and what reward functions of OpenRLHF get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sea_toolkit.errors import PluginError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.columns import Columns, columns_of
from sea_toolkit.util.conversation import Message, Prompt

QUERIES = ("queries", "prompts", "labels")
"""Parameters of a reward function of OpenRLHF (`--remote_rm_url FILE.py`; `examples/python/reward_func.py` there)."""

LABELS = ("labels", "label")
"""Columns that are the labels of such a function, and of a reward server of OpenRLHF."""

TRAINING = ("completion_ids", "completions_ids", "trainer_state", "log_extra", "log_metric", "environments")
"""What trainers of TRL give beside columns, and a run has not."""


def cells(columns: Columns, prompts: Sequence[str]) -> dict[str, list[Any]]:
    """The columns that are read, each with a cell for every prompt; None where one that is not needed has none."""
    rows = [columns_of(prompt) for prompt in prompts]
    there = dict.fromkeys(name for row in rows for name in row)
    wanted = {*columns.needed, *columns.used}
    return {name: [row.get(name) for row in rows] for name in there if columns.every or name in wanted}


def as_turns(prompt: str, text: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Prompt and answer as the messages that TRL gives for conversations."""
    asked = [turn.to_dict() for turn in Prompt.of(prompt).messages]
    return asked, [Message("assistant", text).to_dict()]


def label_of(prompt: str) -> Any:
    """The label of a prompt; "" where it has none, as in OpenRLHF."""
    row = columns_of(prompt)
    return next((row[name] for name in LABELS if name in row), "")


def queries(policy: Policy, prompts: Sequence[str], texts: Sequence[str]) -> dict[str, list[Any]]:
    """What OpenRLHF gives: prompts in the policy's template, the same with the answers behind them, and labels."""
    shown = [
        str(prompt)
        if policy.chat is None
        else policy.chat.render(Prompt.of(prompt).messages, add_generation_prompt=True)
        for prompt in prompts
    ]
    return {
        "queries": [prompt + text for prompt, text in zip(shown, texts, strict=True)],
        "prompts": shown,
        "labels": [label_of(prompt) for prompt in prompts],
    }


def rewards_of(value: Any) -> Any:
    """The rewards in what such a function returned: they themselves, or a table that holds them.

    Raises:
        PluginError: a table without rewards.
    """
    if not isinstance(value, Mapping):
        return value
    if "rewards" not in value:
        raise PluginError(f"it returned a table of {', '.join(map(str, value))}", expected='{"rewards": …}')
    return value["rewards"]
