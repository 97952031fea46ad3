"""`sea-toolkit models list | pull | remove`."""

from __future__ import annotations

import json
import sys

import pytest

from sea_toolkit.models import cache
from sea_toolkit.models.smollm2 import NAME, SmolLM2
from tests.cli.commands import invoke
from tests.cli.processes import sea_toolkit


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEA_CACHE", str(tmp_path))
    monkeypatch.setenv("SEA_PLUGINS", "")
    return tmp_path / "models"


def run(*args: str):
    return invoke("models", *args)


def rows(*args: str) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads(run("list", "--json", *args).stdout)}


def put_model(folder) -> None:
    work = folder / "work"
    work.mkdir(parents=True)
    (work / "model.safetensors").write_bytes(b"12345678")
    cache.publish(work, folder / NAME, {"name": NAME})


def test_list_shows_role_place_licence_and_policy(own_cache):
    found = rows()
    assert found[NAME]["role"] == "policy"
    assert found[NAME]["license"] == "Apache-2.0"
    assert found[NAME]["where"] == "not yet"
    for probe in ("sentiment", "toxicity", "harmlessness"):
        assert found[probe]["role"] == "reward"
        assert found[probe]["for_policy"] == NAME
        assert found[probe]["where"] == "in the package"
    put_model(own_cache)
    assert rows()[NAME]["where"] == "cached"
    text = run("list").stdout
    assert all(word in text for word in (NAME, "269 MB", "Apache-2.0", "toxicity"))


def test_list_marks_damage_and_verify_looks_deeper(own_cache):
    put_model(own_cache)
    (own_cache / NAME / "model.safetensors").write_bytes(b"12345679")
    assert rows()[NAME]["where"] == "cached"
    assert rows("--verify")[NAME]["where"] == "damaged"
    result = run("list", "--verify")
    assert result.exit_code == 1
    assert f"sea-toolkit models remove {NAME}" in result.stdout
    assert run("remove", NAME).exit_code == 0
    assert rows()[NAME]["where"] == "not yet"


def test_without_a_cache_nothing_is_called_damaged(monkeypatch):
    monkeypatch.setenv("SEA_CACHE", "~nobody-of-this-name/x")
    result = run("list", "--json")
    row = next(row for row in json.loads(result.stdout) if row["name"] == NAME)
    assert (result.exit_code, row["where"]) == (1, "unknown")
    assert "SEA_CACHE" in row["error"]


def test_remove(own_cache):
    put_model(own_cache)
    assert run("remove", NAME).output == f"removed {NAME} from the cache\n"
    assert run("remove", NAME).output == f"{NAME} was not in the cache\n"
    result = run("remove", "sentiment")
    assert result.exit_code == 1
    assert "part of an installed package" in result.stderr


def test_pull(own_cache, monkeypatch):
    def pull(self, progress):
        progress(0, 100, "downloading")
        put_model(own_cache)
        return self.folder

    monkeypatch.setattr(SmolLM2, "pull", pull)
    result = run("pull", NAME)
    assert result.exit_code == 0
    assert f"{NAME} is now in" in result.stdout


def test_pull_of_a_shipped_probe_is_nothing_to_do():
    result = run("pull", "sentiment")
    assert result.exit_code == 0
    assert "comes with an installed package" in result.stdout


@pytest.mark.parametrize("command", ["pull", "remove"])
def test_an_unknown_name(command):
    result = run(command, "smolm2-135m")
    assert result.exit_code == 1
    assert "did you mean 'smollm2-135m'?" in result.stderr


def test_listing_imports_no_torch(own_cache):
    import subprocess

    code = (
        "import sys; from sea_toolkit.cli import main; main(['models', 'list'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_narrow_terminal_gets_fewer_columns_and_says_so():
    narrow = sea_toolkit(["models", "list"], terminal=80).stdout.decode().splitlines()
    assert narrow[0].split() == ["name", "role", "where", "size", "summary"]
    assert narrow[-1] == "no room for: for, licence; --wide shows all"
    assert any(line.startswith(f"{NAME}  policy") for line in narrow)
    wide = sea_toolkit(["models", "list", "--wide"], terminal=80).stdout.decode().splitlines()
    piped = sea_toolkit(["models", "list"]).stdout.decode().splitlines()
    assert wide == piped
    assert wide[0].split() == ["name", "role", "for", "where", "size", "licence", "summary"]
    assert len(wide) == 5
