"""The observer in a real run, read back with Weights & Biases's own reader."""

from __future__ import annotations

import json

import pytest
import sea_wandb

import sea_toolkit as sea
from sea_toolkit.testing import tiny_policy

pytest.importorskip("wandb", reason="wandb is not installed")


@pytest.fixture(scope="module")
def run():
    """Aligns with a hub in which the observer takes part."""
    hub = sea.PluginHub.discover(plugins=[])
    settings = {"policy": tiny_policy(), "energies": {"length": {"weight": 1.0, "target": 4}}, "max_new_tokens": 5}

    def align():
        with hub.temporarily(sea_wandb):
            (result,) = sea.align(["the rain"], hub=hub, sampler="suffix-mh", steps=2, seed=1, **settings)
        return result

    return align


def test_nothing_is_written_unless_asked_for(run, tmp_path, monkeypatch):
    monkeypatch.delenv("SEA_WANDB", raising=False)
    monkeypatch.chdir(tmp_path)
    run()
    assert not list(tmp_path.iterdir())
    assert not sea_wandb._open


def test_a_run_is_logged_with_its_recipe_its_numbers_and_its_answers(run, tmp_path, monkeypatch):

    monkeypatch.setenv("SEA_WANDB", "my-project")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    result = run()
    assert not [note for note in result.notes if "sea_observe" in note]
    (folder,) = (tmp_path / "wandb").glob("offline-run-*")
    (table,) = folder.glob("files/media/table/*.json")
    assert json.loads(table.read_text())["data"] == [
        ["the rain", result.base_response, result.response, result.energy[1]]
    ]
    (log,) = folder.glob("run-*.wandb")
    written = log.read_bytes()  # W&B's own format: keys and values in JSON
    for text in ("my-project", '"suffix-mh"', "prompt 1/lowest energy", json.dumps(result.energy[1])):
        assert text.encode() in written, text
    assert not sea_wandb._open
