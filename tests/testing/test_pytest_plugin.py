"""The pytest plugin in a pytest of its own, as an author has it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

NAME = "sea_toolkit.testing.pytest_plugin"
LIGHT = """
import sys

def test_pytest_has_not_brought_torch():
    assert "torch" not in sys.modules
"""
FIXTURES = """
import sea_toolkit as sea
from sea_toolkit.testing import check_energy

def brevity(response, *, per_token: float = 0.1):
    return per_token * response.expected_length()

def test_brevity(sea_hub):
    assert sea_hub.get("energy", "length")
    assert "gradient" in check_energy(brevity, per_token=0.5)

def test_a_run(tiny_policy, tiny_reward, sea_hub):
    settings = {"sampler": "best-of-n", "chains": 2, "budget": 4, "max_new_tokens": 6}
    energies = {"reward": (4.0, tiny_reward), "brevity": (1.0, brevity)}
    result = sea.align("hello", policy=tiny_policy, energies=energies, hub=sea_hub, **settings)
    assert result.energy[1] <= result.energy[0] and "reward" in result.rewards
"""


FAILING = """
from sea_toolkit.testing import check_energy

def warm(response):
    liked = response.probability([30, 31, 32]).sum(-1)
    return (liked * response.content).sum(-1) / response.content.sum(-1)

def test_warm():
    check_energy(warm)
"""


def run(folder, sources, *more):
    """pytest over the sources, each in a file of its own."""
    for i, source in enumerate(sources):
        (folder / f"test_it_{i}.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *more, str(folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


# pytest refuses a plugin that comes twice; an editable installation has the entry points of the day it was made
INSTALLED = [point.value for point in entry_points(group="pytest11")]
PLUGIN = () if NAME in INSTALLED else ("-p", NAME)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    """A run in which the fixtures are used and a check fails: torch is imported once for both."""
    return run(tmp_path_factory.mktemp("kit"), [FIXTURES, FAILING], *PLUGIN)


def test_pytest_starts_as_fast_as_before(tmp_path):
    done = run(tmp_path, [LIGHT], *PLUGIN)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_fixtures(kit):
    assert "1 failed, 2 passed" in kit.stdout, kit.stdout + kit.stderr
    assert "FAILED test_it_1.py::test_warm" in kit.stdout


def test_a_failure_shows_the_authors_line_and_the_message_and_nothing_of_the_kit(kit):
    assert kit.returncode == 1
    assert ">       check_energy(warm)" in kit.stdout
    assert "energy 'warm', finite: an energy is not finite" in kit.stdout
    assert "E       try: an answer may be empty" in kit.stdout
    assert "energy_responses.py" not in kit.stdout
    assert len(kit.stdout.splitlines()) < 40


def test_the_fixtures_are_listed_with_their_words(tmp_path):
    done = run(tmp_path, [LIGHT], *PLUGIN, "--fixtures")
    for name in ("sea_hub", "tiny_policy", "tiny_reward"):
        assert name in done.stdout


def test_the_entry_point_is_announced():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'[project.entry-points.pytest11]\nsea_toolkit = "{NAME}"\n' in text
