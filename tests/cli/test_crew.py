"""`align` and `resume` in two processes: one of them speaks and writes, and none waits for another for ever."""

from __future__ import annotations

import csv
import json

import pytest

from tests.cli.commands import invoke
from tests.models.folders import save_classifier, save_policy
from tests.ranks import commands, words

PLUGIN = '''
import os
import sea_toolkit as sea

@sea.hookimpl
def sea_register_energies(register):
    @register("fails-in-one")
    def fails_in_one(response):
        """Nats; [P, C]."""
        if os.environ.get("RANK") == "1":
            raise RuntimeError("only here")
        return response.expected_length()
'''


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    place = tmp_path_factory.mktemp("shared")
    policy, reward = save_policy(place / "policy"), save_classifier(place / "reward", seed=1)
    plugin = place / "fails.py"
    plugin.write_text(PLUGIN)
    path = place / "recipe.toml"
    path.write_text(
        f'policy = {{ model = "{policy}", dtype = "float32", device = "cpu" }}\n'
        'sampler = { name = "sea", chains = 1, steps = 2 }\n'
        "max_new_tokens = 6\n"
        '[[energies]]\nname = "reference"\n'
        f'[[energies]]\nname = "reward"\nmodel = "{reward}"\nweight = 4.0\n'
    )
    return path


SHARED = ["--set", "policy.tensor_parallel_size=2", "--set", "energies.1.tensor_parallel_size=2"]


def test_two_processes_answer_as_one_does_and_print_and_write_once(recipe, tmp_path):
    asked, table = ["align", "the rain", "a cat", "--recipe", recipe, "--json"], tmp_path / "table.csv"
    alone = [json.loads(line) for line in invoke(*asked, "--out", tmp_path / "one").stdout.splitlines()]
    ended = words(commands(2, *asked, *SHARED, "--steps", 1, "--csv", table, "--out", tmp_path / "two"))
    assert [(code, bool(out)) for code, out, _ in ended] == [(0, True), (0, False)], ended
    assert ended[1][2] == ""
    assert len(list(csv.DictReader(table.open()))) == 2
    ended = words(commands(2, "resume", tmp_path / "two", "--steps", 2, "--json"))
    assert [(code, bool(out)) for code, out, _ in ended] == [(0, True), (0, False)], ended
    shared = [json.loads(line) for line in ended[0][1].splitlines()]
    assert [r["response"] for r in shared] == [r["response"] for r in alone]
    energies = [[r["energy"]["after"] for r in results] for results in (shared, alone)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-5)
    files = {path.name for path in (tmp_path / "one").iterdir()}
    assert {path.name for path in (tmp_path / "two").iterdir()} == files
    one, two = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two"))
    assert one["identity"]["models"] == two["identity"]["models"]


def test_an_error_of_all_is_said_once_and_that_of_one_ends_all(recipe):
    ended = words(commands(2, "align", "the rain", "--recipe", recipe))
    assert [code for code, _, _ in ended] == [2, 2]
    assert "2 processes do this run, and none of its models is shared out" in ended[0][2]
    assert ended[1][1:] == ("", "")
    failing = ["--plugin", recipe.with_name("fails.py"), "align", "the rain", "--energy", "fails-in-one"]
    ended = words(commands(2, *failing, "--recipe", recipe, *SHARED))
    assert all(code for code, _, _ in ended), ended
    said = ended[0][2] + ended[1][2]
    assert "process 1 of 2:" in said
    assert "only here" in said


def test_commands_of_one_process_are_refused_in_several(recipe, tmp_path):
    first, second = words(commands(2, "models", "list"))
    assert first[0] == 2
    assert "torchrun has started 2 processes, and models is done by one" in first[2]
    assert second[1:] == ("", "")
    many = invoke("align", "the rain", "--batch", 1, "--out", tmp_path / "many", "--recipe", recipe, *SHARED)
    assert many.exit_code == 2
    assert "tensor_parallel_size of policy is 2, and each shard of many prompts is answered by one" in many.stderr
    assert not (tmp_path / "many").exists()
