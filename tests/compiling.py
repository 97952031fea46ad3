"""What tests of compiled blocks share."""

from __future__ import annotations

import inspect
import logging

import pytest

from sea_toolkit.lm import kv_cache
from sea_toolkit.models import compiled_blocks

TRACED = (
    (compiled_blocks._OneLayer, "__init__"),
    (compiled_blocks._OneLayer, "update"),
    (kv_cache._BufferedLayer, "update"),
    (kv_cache._BufferedLayer, "_publish"),
)
"""What torch traces of ours."""


def let_torch_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is outside of the tests: without the checks around calls, and without a report of each step of tracing."""
    for owner, name in TRACED:
        monkeypatch.setattr(owner, name, inspect.unwrap(vars(owner)[name]))
    monkeypatch.setattr(logging.getLogger("torch.__trace"), "disabled", True)
