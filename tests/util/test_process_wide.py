"""What the whole process shares is as it was after blocks and calls that overlap in threads."""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.core.torch_state import same_random_stream
from sea_toolkit.lm.quiet import quiet_transformers
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.isolation import Isolated
from sea_toolkit.registry.records import PluginRecord
from sea_toolkit.testing.tiny import tiny_policy
from tests.helpers import hub, warmth


def facts() -> dict[str, Any]:
    """What a person would notice of a change that was left behind."""
    from transformers.utils import logging as of_transformers

    return {
        "stdout": sys.stdout,
        "stderr": sys.stderr,
        "level": of_transformers.get_verbosity(),
        "bars": of_transformers.is_progress_bar_enabled(),
        "levels": {name: logging.getLogger(name).level for name in (None, "transformers", "sea_toolkit")},
        "warnings": list(warnings.filters),
        "folder": os.getcwd(),
        "dtype": torch.get_default_dtype(),
        "random": torch.random.get_rng_state().tolist(),
    }


def overlapping(first: AbstractContextManager[Any], second: AbstractContextManager[Any], meanwhile: Any = None) -> None:
    """Enter the first block, then the second one in another thread; leave the first before the second."""
    entered, left = threading.Event(), threading.Event()

    def other() -> None:
        with second:
            entered.set()
            left.wait(10)

    thread = threading.Thread(target=other)
    with first:
        thread.start()
        entered.wait(0.2)  # in vain where one block at a time is the rule
        if meanwhile is not None:
            meanwhile()
    left.set()
    thread.join(10)
    assert not thread.is_alive()


def test_blocks_that_overlap_in_threads_leave_log_levels_bars_and_warnings_as_they_were() -> None:
    before = facts()
    overlapping(quiet_transformers(), quiet_transformers())
    assert facts() == before
    with quiet_transformers():
        assert facts()["level"] == logging.ERROR


def test_random_streams_of_overlapping_blocks_are_put_back() -> None:
    before = facts()
    overlapping(same_random_stream(), same_random_stream(), lambda: torch.rand(1))
    assert facts() == before


def test_what_a_plugin_changes_in_one_thread_is_not_taken_for_the_usual_in_another(tmp_path: Path) -> None:
    records = [PluginRecord(name, "sea-x", "1", "x") for name in "ab"]
    before = facts()
    overlapping(Isolated(records[0]), Isolated(records[1]), lambda: os.chdir(tmp_path))
    assert facts() == before
    assert [len(record.changes) for record in records] == [1, 0]


def test_calls_that_overlap_in_threads_give_the_serial_answers_and_leave_everything_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = threading.Barrier(2, timeout=30)

    def call(prompt: str, meet: Callable[[], Any]) -> Any:
        met: list[int] = []

        def reward(response: Any) -> Any:
            if not met:
                met.append(1)
                meet()
            return -warmth(response)

        return sea.align(
            prompt, policy=tiny_policy(), hub=hub(), reward={"warmth": (4.0, reward)}, chains=2, steps=2,
            max_new_tokens=5,
        ).to_data()  # fmt: skip

    prompts = ["a", "the rain"]
    serial = [call(prompt, lambda: None) for prompt in prompts]
    before, found = facts(), {}
    threads = [threading.Thread(target=lambda p=p: found.update({p: call(p, both.wait)})) for p in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert facts() == before
    for prompt, expected in zip(prompts, serial, strict=True):
        assert found[prompt] | {"ledger": None} == expected | {"ledger": None}


def test_a_plugin_that_one_thread_loads_is_there_for_another_that_asks_meanwhile(install: Any) -> None:
    install(
        "sea-slow",
        """
        import threading
        import sea_toolkit as sea

        threading.Event().wait(0.2)

        @sea.hookimpl
        def sea_register_schedules(register):
            register("slow", lambda progress, step: 1.0)
        """,
    )
    plugins, found = PluginHub.discover(), list[int]()
    threads = [threading.Thread(target=lambda: found.append(len(plugins.find("slow", "schedule")))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [1, 1, 1]
