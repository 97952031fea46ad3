"""`benchmarks/list_plugins.py` runs and names each state and cause; a healthy plugin works beside the others."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.cli.commands import invoke

FILE = Path(__file__).parents[2] / "benchmarks" / "list_plugins.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("list_plugins_benchmark", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(bench, tmp_path_factory):
    """The ten wheels, installed."""
    return bench.install(tmp_path_factory.mktemp("ten") / "wheels")


def test_each_state_and_cause_is_named(bench, site):
    found = bench.report(site, runs=2)
    assert len(found["seconds"]) == 2
    assert found["median_seconds"] > 0
    states = {name: row["status"] for name, row in found["plugins"].items()}
    assert states == {
        **dict.fromkeys([*bench.HEALTHY, *bench.CLASHING], "not loaded"),
        **dict.fromkeys(bench.BROKEN, "broken"),
    }
    causes = {name: found["plugins"][name]["error"] for name in bench.BROKEN}
    assert "No module named 'a_module_that_nobody_has'" in causes["sea-broken-import"]
    assert "SystemExit: 3" in causes["sea-broken-exit"]
    assert "did you mean 'sea_register_energies'" in causes["sea-broken-hook"]
    owners = ["sea-clash-a:clash", "sea-clash-b:clash"]
    assert found["clashes"] == [{"what": what, "name": "clash", "owners": owners} for what in ("energy", "entry point")]


@pytest.fixture
def here(site, monkeypatch):
    """The ten installed in this process, with the cache and the distributions that the others have: Ray, once it is
    imported, adds a folder of its own to the path."""
    usual = [folder for folder in sys.path if Path(folder).name != "thirdparty_files"]
    monkeypatch.setattr(sys, "path", [str(site), *usual])
    importlib.invalidate_caches()
    monkeypatch.setenv("SEA_CACHE", str(site.parent / "cache"))
    monkeypatch.delenv("SEA_PLUGINS", raising=False)


def test_align_works_with_a_healthy_one_and_names_the_clash(bench, site, here, tmp_path):
    tiny_model().save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    flags = ["--model", str(tmp_path / "model"), "--template", "plain", "--steps", "2", "--chains", "2"]
    flags += ["--max-new-tokens", "6", "--json"]
    done = invoke("align", "the rain", "--energy", "healthy-3=2,per_token=1.0", *flags)
    assert done.exit_code == 0, done.stderr
    assert set(json.loads(done.stdout)["terms"]) == {"reference", "healthy-3"}
    done = invoke("align", "the rain", "--energy", "clash", *flags)
    assert done.exit_code == 2
    assert "'clash' is claimed by sea-clash-a:clash" in done.stderr
    assert "sea-clash-b:clash" in done.stderr
    # of the healthy ones only that which was asked for was loaded; what a load has found is remembered
    states = {name: row["status"] for name, row in bench.report(site, runs=1)["plugins"].items()}
    assert states == {
        **dict.fromkeys(bench.HEALTHY, "not loaded"),
        **dict.fromkeys(["sea-healthy-3", *bench.CLASHING], "ok"),
        **dict.fromkeys(bench.BROKEN, "broken"),
    }
