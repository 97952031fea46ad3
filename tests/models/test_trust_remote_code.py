"""Python that comes with a model runs only by the user's word of this very call, and nothing asks."""

from __future__ import annotations

import json

import pytest

import sea_toolkit as sea
from sea_toolkit.api import resume
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util.run_files import write_sealed
from tests.cli.commands import invoke
from tests.helpers import hub
from tests.models.folders import edit_config, save_classifier, save_policy

CODE = """
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, LlamaModel
open({ran!r}, "a").write("x")


class OwnConfig(LlamaConfig):
    model_type = {kind!r}


class OwnLM(LlamaForCausalLM):
    config_class = OwnConfig


class OwnClassifier(LlamaForSequenceClassification):
    config_class = OwnConfig


class OwnModel(LlamaModel):
    config_class = OwnConfig
"""
CLASSES = {
    "AutoConfig": "OwnConfig", "AutoModelForCausalLM": "OwnLM", "AutoModel": "OwnModel",
    "AutoModelForSequenceClassification": "OwnClassifier",
}  # fmt: skip
RUN = {"max_new_tokens": 4, "sampler": "best-of-n", "chains": 2, "steps": 1, "device": "cpu", "dtype": "float32"}


@pytest.fixture(autouse=True)
def no_questions(monkeypatch):
    asked = []
    monkeypatch.setattr("builtins.input", lambda text="": asked.append(text) or "n")
    yield
    assert not asked


@pytest.fixture
def ran(tmp_path):
    return tmp_path / "ran"


def with_code(folder, ran):
    kind = f"own_{folder.name}_{abs(hash(str(folder)))}"
    (folder / "own_code.py").write_text(CODE.format(ran=str(ran), kind=kind))
    edit_config(folder, model_type=kind, auto_map={k: f"own_code.{v}" for k, v in CLASSES.items()})
    return str(folder)


@pytest.fixture
def plain(tmp_path):
    return str(save_policy(tmp_path / "plain"))


@pytest.fixture
def coded(tmp_path, ran):
    return with_code(save_policy(tmp_path / "coded"), ran)


@pytest.fixture
def coded_reward(tmp_path, ran):
    return with_code(save_classifier(tmp_path / "reward", labels=2), ran)


def term_of(kind, coded, coded_reward):
    return {
        "reward": {"name": "reward", "model": coded_reward, "output": 1},
        "classifier": {"name": "classifier", "model": coded_reward, "target": 1},
        "judge": {"name": "judge", "model": coded, "yes": "a", "no": "b"},
        "perplexity": {"name": "perplexity", "model": coded},
        "semantic-similarity": {"name": "semantic-similarity", "model": coded, "text": "a cat"},
    }[kind]


@pytest.mark.parametrize("kind", ["reward", "classifier", "judge", "perplexity", "semantic-similarity"])
def test_the_code_of_a_model_beside_the_policy(plain, coded, coded_reward, ran, kind):
    recipe = {"energies": [{"name": "reference"}, term_of(kind, coded, coded_reward)]}
    with pytest.raises(ModelError, match=r"Python code of its own, which was not run[\s\S]*--trust-remote-code"):
        sea.align("Hi", recipe=recipe, model=plain, hub=hub(), **RUN)
    assert not ran.exists()
    result = sea.align("Hi", recipe=recipe, model=plain, hub=hub(), trust_remote_code=True, **RUN)
    assert ran.exists()
    assert result.response is not None


def test_the_code_of_a_policy_and_of_a_run_that_goes_on(coded, ran, tmp_path):
    recipe = {"energies": [{"name": "reference"}, {"name": "length", "target": 3}]}
    with pytest.raises(ModelError, match="Python code of its own"):
        sea.align("Hi", recipe=recipe, model=coded, hub=hub(), **RUN)
    assert not ran.exists()
    sea.align("Hi", recipe=recipe, model=coded, hub=hub(), trust_remote_code=True, out=tmp_path / "o", **RUN)
    assert "trust" not in (tmp_path / "o" / "recipe.json").read_text()
    times = len(ran.read_text())
    with pytest.raises(ModelError, match="Python code of its own"):
        resume(tmp_path / "o", hub=hub(), steps=2)
    assert len(ran.read_text()) == times
    assert resume(tmp_path / "o", hub=hub(), steps=2, trust_remote_code=True)


def test_neither_a_recipe_nor_a_folder_can_allow_it(tmp_path, coded, ran):
    data = {"policy": {"model": coded, "trust_remote_code": True}, "energies": [{"name": "length", "target": 3}]}
    with pytest.raises(RecipeError, match=r"a recipe cannot allow code[\s\S]*--trust-remote-code"):
        Recipe.parse(data)
    (tmp_path / "o").mkdir()
    saved = {"recipe": data, "prompts": ["Hi"], "own_terms": {}, "checkpoint_every": 10}
    write_sealed(tmp_path / "o" / "recipe.json", saved)
    with pytest.raises(RecipeError, match="a recipe cannot allow code"):
        resume(tmp_path / "o", hub=hub())
    assert not ran.exists()


def test_a_judge_of_a_comparison(plain, coded_reward, ran):
    judges = [{"model": coded_reward, "output": 0}]
    options = {
        "samplers": ["best-of-n"], "budgets": [2], "model": plain, "hub": hub(), "max_new_tokens": 4, "device": "cpu",
        "recipe": {"energies": [{"name": "reference"}, {"name": "length", "target": 3}]}, "judges": judges,
    }  # fmt: skip
    with pytest.raises(ModelError, match="Python code of its own"):
        compare(["Hi"], **options)
    assert not ran.exists()
    compare(["Hi"], trust_remote_code=True, **options)
    assert ran.exists()


@pytest.mark.parametrize("command", ["align", "compare", "train-probe"])
def test_the_flag_of_each_command(coded, coded_reward, plain, ran, tmp_path, command):
    rows = [{"text": f"text {i} {'good' if i % 2 else 'bad'}", "label": i % 2} for i in range(40)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "prompts.txt").write_text("Hi\n")
    short = ["--max-new-tokens", "4", "--device", "cpu", "--energy", "length=1,target=3"]
    words = {
        "align": ["Hi", "--model", plain, "--energy", f"reward=1,model={coded_reward},output=1", "--steps", "1",
                  "--sampler", "best-of-n", *short],
        "compare": [str(tmp_path / "prompts.txt"), "--samplers", "best-of-n", "--budgets", "2", "--model", coded,
                    *short],
        "train-probe": [str(tmp_path / "d.jsonl"), "--model", coded, "--layer", "1", "--device", "cpu",
                        "--out", str(tmp_path / "p.safetensors")],
    }[command]  # fmt: skip
    result = invoke(command, *words)
    assert result.exit_code == 1
    assert "Python code of its own" in result.output
    assert not ran.exists()
    result = invoke(command, *words, "--trust-remote-code")
    assert result.exit_code == 0, result.output
    assert ran.exists()
