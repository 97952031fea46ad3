"""The provider of Inspect, in a real evaluation."""

from __future__ import annotations

import pytest

import sea_toolkit as sea
from tests.integrations.test_lm_eval import RECIPE
from tests.models.folders import save_policy

inspect_ai = pytest.importorskip("inspect_ai", reason="Inspect is not installed")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    root = tmp_path_factory.mktemp("inspect")
    policy = f"[policy]\nmodel = '{save_policy(root / 'model')}'\ntemplate = 'plain'\n"
    (root / "recipe.toml").write_text(RECIPE + policy)
    return {"recipe": str(root / "recipe.toml"), "dtype": "float32"}


def evaluate(arguments, folder, **options):
    from inspect_ai.dataset import Sample
    from inspect_ai.model import get_model
    from inspect_ai.scorer import includes

    from sea_toolkit.integrations import inspect_ai as provider

    assert provider.SeaAPI is not None  # registers it, as the entry point does
    task = inspect_ai.Task([Sample("the rain", target="a"), Sample("a", target="b")], scorer=includes())
    model = get_model("sea/recipe", **arguments)
    (log,) = inspect_ai.eval(task, model=model, log_dir=str(folder), display="none", max_tokens=5, **options)
    return log


def test_an_evaluation_writes_the_answers_of_a_run_with_energies_and_cost(arguments, tmp_path):
    log = evaluate(arguments, tmp_path)
    assert log.status == "success", log.error
    expected = sea.align(["the rain", "a"], max_new_tokens=5, **arguments)
    by_prompt = {sample.input: sample.output for sample in log.samples}
    assert [by_prompt[str(r.prompt)].completion for r in expected] == [r.response for r in expected]
    facts = by_prompt["the rain"].metadata["sea"]
    assert facts["energy"] == pytest.approx(list(expected[0].energy))
    assert facts["flops"] > 0
    assert facts["samples"] > 0
    assert by_prompt["a"].usage.output_tokens == expected[1].candidates[0].tokens


def test_options_of_sampling_are_refused(arguments, tmp_path):
    log = evaluate(arguments, tmp_path, temperature=0.5)
    assert log.status == "error"
    assert "the recipe says how answers are drawn" in log.error.message
