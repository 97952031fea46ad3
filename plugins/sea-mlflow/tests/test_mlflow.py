"""The observer in a real run, read back with MLflow's own reader."""

from __future__ import annotations

import json

import pytest
import sea_mlflow

import sea_toolkit as sea
from sea_toolkit.testing import tiny_policy

pytest.importorskip("mlflow", reason="mlflow is not installed")


@pytest.fixture(scope="module")
def run():
    """Aligns with a hub in which the observer takes part."""
    hub = sea.PluginHub.discover(plugins=[])
    settings = {"policy": tiny_policy(), "energies": {"length": {"weight": 1.0, "target": 4}}, "max_new_tokens": 5}

    def align():
        with hub.temporarily(sea_mlflow):
            (result,) = sea.align(["the rain"], hub=hub, sampler="suffix-mh", steps=2, seed=1, **settings)
        return result

    return align


def test_nothing_is_written_unless_asked_for(run, tmp_path, monkeypatch):
    monkeypatch.delenv("SEA_MLFLOW", raising=False)
    monkeypatch.chdir(tmp_path)
    run()
    assert not list(tmp_path.iterdir())
    assert not sea_mlflow._open


def test_a_run_is_logged_with_its_recipe_its_numbers_and_its_results(run, tmp_path, monkeypatch):
    import mlflow

    monkeypatch.setenv("SEA_MLFLOW", "my-project")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    result = run()
    assert not [note for note in result.notes if "sea_observe" in note]
    client = mlflow.MlflowClient()
    (found,) = client.search_runs([client.get_experiment_by_name("my-project").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.params["sampler.name"] == "suffix-mh"
    history = client.get_metric_history(found.info.run_id, "prompt 1/lowest energy")
    assert sorted({point.step for point in history}) == [0, 1, 2]
    assert history[-1].value == pytest.approx(result.energy[1])
    files = tmp_path / "runs" / found.info.experiment_id / found.info.run_id / "artifacts"
    assert json.loads((files / "results.json").read_text())["results"][0]["response"] == result.response
    assert json.loads((files / "recipe.json").read_text())["max_new_tokens"] == 5
    assert not sea_mlflow._open
