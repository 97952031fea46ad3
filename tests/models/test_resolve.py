"""From a name to a model: catalog, local path, Hugging Face id, or an error that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from sea_toolkit.errors import ModelError
from sea_toolkit.hookspecs import hookimpl
from sea_toolkit.models.named import NamedModel
from sea_toolkit.models.resolve import resolve_model
from sea_toolkit.models.shipped import PROBES
from sea_toolkit.readers.probe import Probe
from sea_toolkit.registry.hub import PluginHub


class TinyModel(NamedModel):
    role, license, megabytes = "policy", "MIT", 0.1
    pulled = 0

    def find(self):
        return Path("/somewhere") if TinyModel.pulled else None

    def pull(self, progress):
        TinyModel.pulled += 1
        progress(1, 1, "made")
        return Path("/somewhere")

    def remove(self):
        return False


class Plugin:
    @hookimpl
    def sea_register_models(self, register):
        register("tiny")(TinyModel)


@pytest.fixture
def catalog():
    TinyModel.pulled = 0
    hub = PluginHub.discover(plugins=[])
    with hub.temporarily(Plugin(), name="tiny"):
        yield hub


def test_a_catalog_name_is_pulled_once(catalog):
    seen = []
    assert resolve_model("tiny", catalog, "policy", lambda *a: seen.append(a)) == Path("/somewhere")
    assert resolve_model("tiny", catalog, "policy") == Path("/somewhere")
    assert TinyModel.pulled == 1
    assert seen == [(1, 1, "made")]


def test_a_shipped_probe_resolves_to_its_file(catalog):
    path = resolve_model("sentiment", catalog, "reward")
    assert path == PROBES / "sentiment.safetensors"
    assert Probe.load(path).info.name == "sentiment"


def test_local_paths_and_hub_ids(catalog, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    assert resolve_model(str(tmp_path / "mine"), catalog, "policy") == tmp_path / "mine"
    assert resolve_model(tmp_path / "mine", catalog, "policy") == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    assert resolve_model("mine", catalog, "policy") == Path("mine")
    assert resolve_model("./mine", catalog, "policy") == Path("mine")
    assert resolve_model("owner/name", catalog, "policy") == "owner/name"


@pytest.mark.parametrize("name", ["./absent", "/absent/folder", "a/b/c", "probes/absent.safetensors"])
def test_a_path_that_is_not_there(catalog, name):
    with pytest.raises(ModelError, match="there is no model at"):
        resolve_model(name, catalog, "reward")


def test_an_unknown_name_gets_a_did_you_mean_of_its_role(catalog):
    with pytest.raises(ModelError, match="did you mean 'sentiment'"):
        resolve_model("sentimnt", catalog, "reward")
    with pytest.raises(ModelError, match="smollm2-135m") as caught:
        resolve_model("smollm", catalog, "policy")
    assert "sentiment" not in str(caught.value)


@pytest.mark.parametrize(("name", "role"), [("sentiment", "policy"), ("tiny", "reward")])
def test_a_model_of_the_other_role(catalog, name, role):
    with pytest.raises(ModelError, match=f"{name} is a"):
        resolve_model(name, catalog, role)
