"""The pytest plugin: fixtures for tests of plugins. Loaded wherever sea_toolkit is installed, so it imports nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sea_toolkit.lm.policy import Policy
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.testing.tiny import TinyReward


@pytest.fixture
def sea_hub() -> PluginHub:
    """A hub with all that is installed; your own package is among it once it is installed, in editable mode too."""
    from sea_toolkit.registry.hub import PluginHub

    return PluginHub.discover()


@pytest.fixture
def tiny_policy() -> Policy:
    """A policy with a tiny random model, made in milliseconds: `sea.align(…, policy=tiny_policy)`."""
    from sea_toolkit.testing import tiny

    return tiny.tiny_policy()


@pytest.fixture
def tiny_reward() -> TinyReward:
    """A differentiable reward of any policy: `sea.align(…, energies={"reward": (4.0, tiny_reward)})`."""
    from sea_toolkit.testing import tiny

    return tiny.tiny_reward()
