"""Every built-in energy has an example recipe in `docs/recipes`, and its run lowers that energy on the real model.

A recipe is called after its energy. Its first line is the command that runs it, as a comment:

    # sea-toolkit align "How was your day?" --recipe reward.toml

What a recipe needs beside the policy (a folder, a file) is made by the function of its name in `NEEDS`.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

import sea_toolkit as sea
from sea_toolkit.registry.hub import PluginHub

FOLDER = Path(__file__).parents[2] / "docs" / "recipes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))
LONGEST, DEAREST = 16, 16
"""Limits of an example, in tokens and in samples: it runs in seconds on two cores."""


def classifier(tokenizer: Any) -> None:
    """A small random classifier with the policy's vocabulary, as the folder `my-classifier`."""
    import torch
    from transformers import LlamaForSequenceClassification

    from sea_toolkit.testing.tiny import tiny_config

    config = tiny_config("llama", vocab=len(tokenizer), initializer_range=0.15)
    config.id2label, config.label2id = {0: "bad", 1: "good"}, {"bad": 0, "good": 1}
    config.pad_token_id = tokenizer.pad_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForSequenceClassification(config).save_pretrained("my-classifier")
    tokenizer.save_pretrained("my-classifier")


def tuned(tokenizer: Any) -> None:
    """A small random language model with the policy's vocabulary, as the folder `my-tuned-model`."""
    from sea_toolkit.testing.tiny import tiny_model

    tiny_model("llama", vocab=len(tokenizer)).save_pretrained("my-tuned-model")
    tokenizer.save_pretrained("my-tuned-model")


NEEDS: dict[str, Callable[[Any], None]] = {"classifier": classifier, "implicit-reward": tuned, "policy-mixture": tuned}
"""Energy to what makes its needs in the current folder, given the policy's tokenizer."""


@contextmanager
def server_of(recipe: sea.Recipe) -> Iterator[tuple[sea.Recipe, list[str]]]:
    """The recipe with the URL of a server in this process in place of its own, and the servers that are allowed."""
    from tests.energies.reward_server import serving

    data = recipe.model_dump(exclude_unset=True)
    asking = [term for term in data["energies"] if "url" in term]
    with serving("sglang") as server:
        for term in asking:
            term["url"] = server.url
        yield sea.Recipe.parse(data), [server.url] if asking else []


EXTRAS = {"json-schema": "jsonschema"}
"""Energy to the optional package that it needs."""


def example(name: str) -> tuple[sea.Recipe, dict[str, Any]]:
    """The recipe of an energy, and the arguments of the command in its first line."""
    from sea_toolkit.cli import main
    from sea_toolkit.cli.align import align

    path = FOLDER / f"{name}.toml"
    program, command, *words = shlex.split(path.read_text(encoding="utf-8").splitlines()[0].removeprefix("#"))
    assert (program, command) == ("sea-toolkit", "align"), path
    root = click.Context(main, **main.context_settings)
    given = align.make_context("align", words, parent=root).params
    assert Path(given["recipe"]) == Path(path.name)
    assert len(given["prompts"]) == 1
    return sea.Recipe.load(path), given


@pytest.fixture(scope="module")
def policy(loaded_smollm2):
    return loaded_smollm2("float32")  # the same draws on every machine: "auto" is bfloat16 where a CPU has it


def test_every_built_in_energy_has_a_recipe():
    assert sorted(item.name for item in PluginHub.discover(plugins=[]).items("energy")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_small_and_has_its_energy(name):
    recipe, _ = example(name)
    assert recipe.max_new_tokens <= LONGEST
    spent = recipe.sampler.budget or (recipe.sampler.chains or 1) * (1 + (recipe.sampler.steps or DEAREST))
    assert spent <= DEAREST
    assert [energy.name for energy in recipe.energies].count(name) == 1


@pytest.mark.real_model
@pytest.mark.parametrize("name", NAMES)
def test_its_run_lowers_its_energy(name, policy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))  # where a person stands who runs them
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    if name in NEEDS:
        NEEDS[name](policy.tokenizer)
    recipe, given = example(name)
    with server_of(recipe) as (recipe, allowed):
        result = sea.align(
            given["prompts"][0],
            recipe=recipe,
            policy=policy,
            allow_code=given["allow_code"],
            allow_network=allowed,
            hub=PluginHub.discover(plugins=[]),
        )
    terms = list(result.terms.values())  # in the recipe's order
    before, after = terms[[energy.name for energy in recipe.energies].index(name)]
    assert math.isfinite(before)
    assert after < before, f"{result.base_response!r} -> {result.response!r}"
    assert result.energy[1] < result.energy[0]
