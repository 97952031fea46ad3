"""The observer in a real run, read back with Trackio's own reader."""

from __future__ import annotations

import pytest
import sea_trackio

import sea_toolkit as sea
from sea_toolkit.testing import tiny_policy

pytest.importorskip("trackio", reason="trackio is not installed")


@pytest.fixture(scope="module")
def run():
    """Aligns with a hub in which the observer takes part."""
    hub = sea.PluginHub.discover(plugins=[])
    settings = {"policy": tiny_policy(), "energies": {"length": {"weight": 1.0, "target": 4}}, "max_new_tokens": 5}

    def align():
        with hub.temporarily(sea_trackio):
            (result,) = sea.align(["the rain"], hub=hub, sampler="suffix-mh", steps=2, seed=1, **settings)
        return result

    return align


def test_nothing_is_written_unless_asked_for(run, tmp_path, monkeypatch):
    monkeypatch.delenv("SEA_TRACKIO", raising=False)
    monkeypatch.chdir(tmp_path)
    run()
    assert not list(tmp_path.iterdir())
    assert not sea_trackio._open


def test_a_run_is_logged_with_its_recipe_its_numbers_and_its_answers(run, tmp_path, monkeypatch):
    from trackio.sqlite_storage import SQLiteStorage

    monkeypatch.setenv("SEA_TRACKIO", "my-project")
    monkeypatch.setattr("trackio.sqlite_storage.TRACKIO_DIR", tmp_path)
    result = run()
    assert not [note for note in result.notes if "sea_observe" in note]
    (name,) = SQLiteStorage.get_runs("my-project")
    logs = SQLiteStorage.get_logs("my-project", name)
    assert [line["step"] for line in logs] == [0, 1, 2, 2]
    assert logs[-1]["prompt 1/answer"] == result.response
    assert logs[-1]["prompt 1/lowest energy"] == pytest.approx(result.energy[1])
    assert SQLiteStorage.get_run_config("my-project", name)["sampler"]["name"] == "suffix-mh"
    assert not sea_trackio._open
