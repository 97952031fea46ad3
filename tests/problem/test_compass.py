"""Compasses: sums as pseudo-texts, files, whose they are, and the runs that begin with one."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.evaluation.fit_compass import fit_compass
from sea_toolkit.lm.fingerprint import tokenizer_fingerprint
from sea_toolkit.models.shipped import PROBES
from sea_toolkit.problem.compass import Compass
from sea_toolkit.problem.compass_file import CompassInfo, read_compass, write_compass
from sea_toolkit.problem.reward_identity import reward_identity
from sea_toolkit.readers.probe import Probe
from sea_toolkit.registry.records import CORE
from sea_toolkit.samplers.tilted import Tilted
from sea_toolkit.testing.setting import PROMPTS
from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_tokenizer
from tests.helpers import hub, noise_for, problem_for, run_for, tiny_probe, warmth

INFO = CompassInfo(
    label="warmth", reward="", policy="tiny", vocabulary=tokenizer_fingerprint(tiny_tokenizer()), count=40.0,
    source="gradients", prompts=10, max_new_tokens=10, seed=0, version="0",
)  # fmt: skip


def identity_of_warmth() -> str:
    policy = tiny_policy()
    return reward_identity("python: warmth", {}, None, Meter(Ledger(), policy.model), policy.model)


def warm(path, **facts):
    """The compass of `warmth`, sure of itself: tokens 30 to 59 lower the energy."""
    mean = torch.zeros(128)
    mean[30:60] = -1.0
    tensors = {"mean": mean, "variance": torch.full((128,), 1e-4)}
    write_compass(path, tensors, replace(INFO, **({"reward": identity_of_warmth()} | facts)))
    return {"warmth": ({"weight": 4.0, "compass": str(path)}, warmth)}


def test_sums_are_those_of_the_texts_and_of_no_more_than_asked_for():
    gradients = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    compass = Compass.of_sums(gradients.sum(0), gradients.square().sum(0), 50.0)
    total, square, count = compass.sums(100.0)
    torch.testing.assert_close(total, gradients.sum(0))
    torch.testing.assert_close(square, gradients.square().sum(0))
    assert count == 50.0
    few, squares, count = compass.sums(5.0)
    assert count == 5.0
    torch.testing.assert_close(few / 5, gradients.mean(0))
    torch.testing.assert_close(squares / 5 - (few / 5).square(), gradients.var(0, correction=0))


def test_a_file_gives_back_what_was_written(tmp_path):
    table = torch.randn(128, 16, generator=torch.Generator().manual_seed(1))
    whole = {"mean": torch.randn(128), "variance": torch.rand(128)}
    write_compass(tmp_path / "whole.safetensors", whole, INFO)
    found = read_compass(tmp_path / "whole.safetensors")
    compass = found.compass(table, 10)
    assert found.info == INFO
    assert torch.equal(compass.mean, whole["mean"])
    assert torch.equal(compass.variance, whole["variance"])
    assert compass.count == 40.0
    names = {"tokens": torch.tensor([2]), "token_mean": torch.tensor([5.0]), "token_variance": torch.tensor([7.0])}
    factored = {"mean": torch.randn(16), "factor": torch.randn(3, 16)} | names
    write_compass(tmp_path / "factored.safetensors", factored, INFO)
    compass = read_compass(tmp_path / "factored.safetensors").compass(table, 10)
    assert (float(compass.mean[2]), float(compass.variance[2])) == (5.0, 7.0)
    twice = read_compass(tmp_path / "factored.safetensors").compass(table, 5)
    torch.testing.assert_close(twice.mean, 2 * compass.mean)  # texts of half the length: a token is twice the part
    torch.testing.assert_close(twice.variance, 4 * compass.variance)
    torch.testing.assert_close(compass.mean[3:], (table @ factored["mean"])[3:])
    torch.testing.assert_close(compass.variance[3:], (table @ factored["factor"].T).square().sum(-1)[3:])


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    with pytest.raises(ModelError, match="no compass at"):
        read_compass(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="corrupt"):
        read_compass(path)
    tiny_probe().save(path)
    with pytest.raises(ModelError, match="is no compass"):
        read_compass(path)
    warm(path)
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["compass"])
    save_file(load_file(path), path, {"compass": json.dumps(facts | {"count": 4000.0})})
    with pytest.raises(ModelError, match="not what was written"):
        read_compass(path)
    write_compass(path, {"mean": torch.zeros(128)}, INFO)
    with pytest.raises(ModelError, match="damaged"):
        read_compass(path)


def test_the_compass_of_another_energy_or_of_other_tokens_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    with pytest.raises(RecipeError, match="no compass of 'warmth'"):
        problem_for(warm(path, reward="another"))
    with pytest.raises(RecipeError, match="other"):
        problem_for(warm(path, vocabulary="others"))
    write_compass(
        path, {"mean": torch.zeros(5), "variance": torch.zeros(5)}, replace(INFO, reward=identity_of_warmth())
    )
    with pytest.raises(ModelError, match="5 numbers"):
        problem_for({"warmth": ({"compass": str(path)}, warmth)})
    with pytest.raises(RecipeError, match="reference"):
        problem_for(recipe={"energies": [{"name": "reference", "compass": str(path)}]})


def test_an_energy_is_told_by_its_weights_and_not_by_their_place_or_precision():
    policy, meters = tiny_model(), []
    for seed, dtype in ((1, torch.float32), (1, torch.bfloat16), (2, torch.float32)):
        meters.append(Meter(Ledger(), policy))
        meters[-1].announce("reward", tiny_model(seed=seed).to(dtype))
    options = {"model": "here", "output": "joy", "device": "cpu"}
    same, rounded, other = (reward_identity("box:reward", options, None, meter, policy) for meter in meters)
    elsewhere = options | {"model": "there", "device": "cuda"}
    assert same == rounded == reward_identity("box:reward", elsewhere, "a bridge", meters[0], policy)
    different = [
        other,
        reward_identity("box:reward", options | {"output": "anger"}, None, meters[0], policy),
        reward_identity("box:other", options, None, meters[0], policy),
    ]
    assert len({same, *different}) == 4


def test_the_first_texts_are_tilted_but_for_the_first_chain(tmp_path):
    """Tokens 30 to 59 are liked. The policy writes the first chain's start, with and without a compass."""
    settings = {"sampler": {"name": "tilted", "chains": 24, "temperature": 1.0}}
    sampler = Tilted(temperature=1.0)
    starts = []
    for energies in (None, warm(tmp_path / "c.safetensors")):
        problem = problem_for(energies, **settings)
        starts.append(sampler.init(problem, noise_for(problem))[1].scored.ids)
    assert torch.equal(starts[0][:, 0], starts[1][:, 0])
    without, with_compass = (float(((ids >= 30) & (ids < 60)).float().mean()) for ids in starts)
    assert with_compass > without + 0.15


def test_what_a_run_meets_takes_over(tmp_path):
    """A compass that is wrong in every word counts as so many texts, and no more."""
    mean = torch.zeros(128)
    mean[30:60] = 0.1
    problem = problem_for(warm(tmp_path / "c.safetensors"), sampler="tilted")
    (term,) = problem.guides
    wrong = replace(term, compass=Compass(mean, torch.full((128,), 1e-4), 1e6))
    problem = replace(problem, terms=[wrong if t is term else t for t in problem.terms])
    memory = Tilted().proposal.memory
    right = torch.zeros(1, 1, 1, 128)
    right[..., 30:60] = -0.1
    liked = [
        memory.direction(problem, [n * right, n * right.square(), torch.full((1, 1, 1, 1), n)]) for n in (8.0, 640.0)
    ]
    assert float(liked[0][..., 40]) > 0 > float(liked[1][..., 40])


def test_a_start_that_is_given_is_left_alone(tmp_path):
    settings = {"sampler": "tilted", "chains": 3, "initializer": {"name": "draft", "text": "a b c"}}
    problem = problem_for(warm(tmp_path / "c.safetensors"), **settings)
    assert len(set(map(tuple, Tilted().init(problem, noise_for(problem))[0].ids[0].tolist()))) == 1


def test_chains_with_a_law_start_and_go_as_without_a_compass(tmp_path):
    """tilted-exact follows the gradient at its own text: a compass tells it nothing, and stops it from nothing."""
    settings = {"sampler": "tilted-exact", "steps": 2, "chains": 3}
    known = run_for(energies=warm(tmp_path / "warm.safetensors"), **settings)
    known.execute()
    plain = run_for(energies={"warmth": (4.0, warmth)}, **settings)
    plain.execute()
    assert torch.equal(known.state.ids, plain.state.ids)


def test_a_compass_beside_a_probe_is_used_unless_it_is_switched_off_or_of_another_probe(tmp_path):
    path = tmp_path / "mood.safetensors"
    tiny_probe().save(path)
    made = fit_compass(
        PROMPTS[:2], reward=str(path), policy=tiny_policy(), hub=hub(), samples=2, max_new_tokens=6
    )  # fmt: skip
    term = {"name": "reward", "model": str(path)}

    def compass(**more):
        (guide,) = problem_for(recipe={"energies": [{"name": "reference"}, term | more]}, max_new_tokens=6).guides
        return guide.compass

    assert compass() is None
    made.save(tmp_path / "mood.compass.safetensors")
    torch.testing.assert_close(compass().mean, made.compass.mean)
    assert compass(compass="none") is None
    tiny_probe(seed=1).save(path)
    assert compass() is None


@pytest.mark.parametrize("name", ["sentiment", "toxicity", "harmlessness"])
def test_the_compasses_in_the_box_are_those_of_the_probes_in_the_box(name):
    probe, found = Probe.load(PROBES / f"{name}.safetensors"), read_compass(PROBES / f"{name}.compass.safetensors")
    nothing = Meter(Ledger())
    assert found.info.vocabulary == probe.info.vocabulary
    assert found.info.reward == reward_identity(
        f"{CORE}:reward", {}, probe.head.fingerprint, nothing, torch.nn.Linear(1, 1)
    )
    assert found.path.stat().st_size < 30_000


def test_a_budget_gets_more_chains_where_their_starts_are_tilted(tmp_path):
    tilted = warm(tmp_path / "c.safetensors")
    given = {"sampler": "tilted", "chains": None}
    numbers = [
        [problem_for(energies, budget=budget, **given).chains for budget in (4, 8, 100)] for energies in (None, tilted)
    ]
    assert numbers[0] == [1, 3, 4]
    assert numbers[1] == [4, 8, 10]
    assert problem_for(tilted, budget=8, sampler="tilted", chains=3).chains == 3
    draft = {"initializer": {"name": "draft", "text": "a b"}}
    assert problem_for(tilted, budget=100, **given, **draft).chains == 4
