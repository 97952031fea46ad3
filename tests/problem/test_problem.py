"""Problem and Term: scoring texts as a person reads them, and what happens when an energy misbehaves."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.core.response import SoftResponse, after_end
from sea_toolkit.errors import NumericalError, PluginError, RecipeError
from sea_toolkit.problem.initializer import as_initializer
from sea_toolkit.registry.blame import Owner
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.samplers.shared.potential import is_time_dependent
from sea_toolkit.testing.tiny import EOS
from sea_toolkit.util import run_files
from tests.helpers import PROMPTS, hub, noise_for, problem_for, random_ids, run_for, tiny_policy, tiny_probe, warmth


def written_by(function):
    return as_initializer(functools.partial(function), Owner("initializer 'mine'"))


GRADIENT_FREE = ["best-of-n", "suffix-mh"]


class Plugin:
    """Energies as a third party registers them."""

    @sea.hookimpl
    def sea_register_energies(self, register):
        @register("vowels")
        def vowels(prompts, texts, *, factor: float = 1.0):
            """Counts vowels of the text."""
            return [-factor * sum(t.count(v) for v in "aeiou") for t in texts]

        @register("fussy")
        def fussy(response, *, worst: str = "nan"):
            """Not finite where the first token is even."""
            even = response.ids[..., 0] % 2 == 0
            return torch.where(even, torch.tensor(float(worst)), -response.expected_length())

        @register("never")
        def never(response, *, value: str = "nan"):
            """Not finite at all."""
            return response.expected_length() * 0 + float(value)

        @register("shapeless")
        def shapeless(response):
            """Forgets to sum."""
            return response.alive

        @register("counts-wrong")
        def counts_wrong(prompts, texts):
            """One number too many."""
            return [0.0] * (len(texts) + 1)

        @register("listy")
        def listy(response):
            """No tensor."""
            return [0.0]


@pytest.fixture
def plugins():
    own = PluginHub.discover(plugins=())
    with own.temporarily(Plugin(), name="acme"):
        yield own


def recipe(*energies):
    return {"energies": [{"name": "reference"}, *energies]}


def reread(policy, ids):
    texts = policy.text(ids)
    return texts, [[policy.tokenizer(t, add_special_tokens=False).input_ids for t in row] for row in texts]


def test_texts_are_scored_as_they_are_tokenized_again():
    problem = problem_for(prompts=PROMPTS, chains=4)
    ids = random_ids(3, 4, 10)
    ids[0, 0, 6:] = EOS
    found = problem.score_as_text(ids)
    texts, rows = reread(problem.policy, ids)
    assert found.texts == texts
    differs = 0
    for p in range(3):
        for c in range(4):
            raw = ids[p, c].tolist()
            ended = EOS in raw
            assert bool(found.finished[p, c]) == ended
            read = [*rows[p][c], EOS] if ended else rows[p][c]
            assert int(found.length[p, c]) == len(read)
            differs += read != raw[: raw.index(EOS) + 1 if ended else None]
            again = torch.tensor([[read]])
            log_prob = problem.policy.log_prob(problem.prefix.select(torch.tensor([p])), again).sum()
            torch.testing.assert_close(found.nll[p, c], -log_prob, rtol=1e-4, atol=1e-3)
            liked = -sum(30 <= t < 60 for t in rows[p][c])
            assert float(found.energies.terms["warmth"][p, c]) == liked
    assert differs > 0, "the tiny tokenizer should read some texts otherwise"
    total = found.energies.terms["reference"] + 4.0 * found.energies.terms["warmth"]
    torch.testing.assert_close(found.energies.total, total)


@pytest.mark.parametrize("normalize", ["sum", "mean"])
def test_known_log_probabilities_give_the_same_energies(normalize):
    problem = problem_for(
        recipe={"energies": [{"name": "reference", "normalize": normalize}, {"name": "length", "target": 3.0}]},
        prompts=PROMPTS,
        chains=6,
    )
    start = problem.start(noise_for(problem))
    spent = problem.ledger.flops
    plain = problem.score_as_text(start.ids)
    full = problem.ledger.flops - spent
    known = problem.score_as_text(start.ids, start.log_prob)
    torch.testing.assert_close(known.energies.total, plain.energies.total, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(known.nll, plain.nll, rtol=1e-4, atol=1e-3)
    assert problem.ledger.flops - spent - full < full, "rows that read the same need no forward pass"
    torch.testing.assert_close(plain.nll, plain.energies.terms["reference"] * (
        plain.length.clamp(min=1) if normalize == "mean" else 1
    ))  # fmt: skip


def test_a_wrong_log_probability_of_a_row_that_reads_otherwise_is_not_used():
    problem = problem_for(prompts=PROMPTS[:1], chains=3)
    ids = random_ids(1, 3, 10)
    ids[0, 0] = torch.tensor(problem.policy.tokenizer("the red and the other").input_ids)[:10]
    ids[0, 1:] = torch.tensor(problem.policy.tokenizer.convert_tokens_to_ids(list("thinreotho")))
    assert problem.policy.from_text(problem.policy.text(ids), torch.zeros(1, 3).bool()).ids[0, 0, :10].equal(ids[0, 0])
    wrong = torch.full((1, 3, 10), -1.0)
    found, plain = problem.score_as_text(ids, wrong), problem.score_as_text(ids)
    assert float(found.nll[0, 0]) == 10.0
    torch.testing.assert_close(found.nll[0, 1:], plain.nll[0, 1:])


def test_an_empty_answer_is_scored():
    problem = problem_for(prompts=PROMPTS[:1], chains=2)
    ids = torch.full((1, 2, 10), EOS)
    ids[0, 1] = 0  # padding tokens, which nobody reads
    found = problem.score_as_text(ids)
    assert found.texts == [["", ""]]
    assert found.finished.tolist() == [[True, False]]
    assert found.length.tolist() == [[1.0, 10.0]], "what is not read is charged for"
    assert found.energies.total.isfinite().all()
    assert found.energies.terms["warmth"].tolist() == [[0.0, 0.0]]


def test_start_has_the_right_shape_or_names_the_initializer():
    problem = replace(problem_for(), initializer=written_by(lambda problem, noise: random_ids(1, 2, 9)))
    with pytest.raises(PluginError, match=r"a tensor \[1, 2, 9\]"):
        problem.start(noise_for(problem))


def test_slopes_leave_the_energies_as_they_are():
    problem = problem_for(prompts=PROMPTS, chains=2)
    ids = random_ids(3, 2, 10)
    plain, steep = problem.score_as_text(ids), problem.score_as_text(ids, gradients=True)
    assert plain.token_gradients is None
    torch.testing.assert_close(steep.energies.total, plain.energies.total)
    (slope,) = steep.token_gradients
    assert (slope.over_vocabulary(0, 128)[..., 30:60] == -1.0).all(), "the gradient of the probability of a liked token"


def test_values_are_weighed_by_the_weights_of_now():
    ramp = {"schedule": "linear", "start": -1.0, "end": 3.0}
    terms = [{"name": "reference"}, {"name": "length", "target": 4.0, "weight": ramp}]
    problem = problem_for(recipe={"energies": terms}, sampler="tilted")
    ids = random_ids(1, 2, 10)
    scored = problem.score_as_text(ids)
    values = scored.energies.values()
    assert torch.equal(problem.total_energy(values), scored.energies.total)
    problem.clock.progress = 1.0
    again = problem.score_as_text(ids)
    assert torch.equal(problem.total_energy(values), again.energies.total)
    assert not torch.equal(again.energies.total, scored.energies.total)


def test_values_that_are_not_finite_weigh_infinitely():
    problem = problem_for(sampler="suffix-mh")
    bad = torch.tensor([[[1.0, torch.nan], [2.0, -torch.inf]]])
    assert problem.total_energy(bad).tolist() == [[torch.inf, torch.inf]]
    assert problem.total_energy(torch.tensor([[[1.0, 2.0], [0.0, torch.inf]]])).tolist() == [[9.0, torch.inf]]


@pytest.mark.parametrize(
    "term",
    [
        {"energies": [{"name": "length", "target": {"schedule": "linear", "start": 2.0, "end": 9.0}}]},
        {"constraints": [{"name": "length", "target": {"schedule": "linear", "start": 2.0, "end": 9.0}, "max": 1.0}]},
    ],
)
def test_an_option_on_a_schedule_makes_a_problem_drift(term):
    recipe = {
        "energies": [{"name": "reference"}, *term.get("energies", [])],
        "constraints": term.get("constraints", []),
    }
    assert problem_for(recipe=recipe, sampler="suffix-mh").is_time_dependent
    assert is_time_dependent(problem_for(recipe=recipe, sampler="mala"))
    assert not problem_for(sampler="suffix-mh").is_time_dependent
    assert not is_time_dependent(problem_for(sampler="mala"))


# --- energies that misbehave


@pytest.mark.parametrize("sampler", ["sea", "sea-adam", "tilted"])
def test_text_only_energies_and_gradients_do_not_go_together(sampler, plugins):
    with pytest.raises(RecipeError, match=r"'vowels' \(temporary:vowels\)"):
        run_for(recipe=recipe({"name": "vowels"}), plugins=plugins, energies={}, sampler=sampler, steps=2).execute()


@pytest.mark.parametrize("sampler", GRADIENT_FREE)
def test_text_only_energies_take_part_in_selection(sampler, plugins):
    run = run_for(
        recipe=recipe({"name": "vowels", "weight": 20.0, "factor": 2.0}),
        plugins=plugins,
        energies={},
        sampler=sampler,
        steps=6,
    )
    for result in run.execute():
        assert result.terms["vowels"][1] == -2.0 * sum(result.response.count(v) for v in "aeiou")
        assert result.energy[1] == min(c.energy for c in result.candidates)


def test_a_recipe_without_a_sampler_gets_one_that_fits(plugins):
    blind = run_for(recipe=recipe({"name": "vowels"}), plugins=plugins, energies={}, budget=4)
    assert blind.name == "best-of-n"
    seeing = run_for(recipe=recipe({"name": "length", "target": 3.0}), plugins=plugins, energies={}, steps=1)
    assert seeing.sampler.needs_gradient or seeing.name != "best-of-n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shapeless", r"energy 'shapeless' \(plugin .* of temporary 0\): returned a tensor \[2, 2, 1?[0-9]\]"),
        ("listy", r"energy .listy. \(plugin .*\): returned a list"),
        (
            "counts-wrong",
            r"energy 'counts-wrong' \(plugin .*\) failed at the start: it returned numbers of shape \[5\] for 4 texts",
        ),
    ],
)
def test_wrong_outputs_are_named(name, message, plugins):
    run = run_for(recipe=recipe({"name": name}), plugins=plugins, energies={}, sampler="best-of-n", steps=2)
    with pytest.raises(PluginError, match=message):
        run.execute()


@pytest.mark.parametrize("sampler", ["sea", "sea-adam", "tilted", *GRADIENT_FREE])
@pytest.mark.parametrize("worst", ["nan", "-inf"])
def test_a_chain_that_meets_a_nan_stops_and_the_run_goes_on(sampler, worst, plugins, tmp_path):
    energies = recipe({"name": "fussy", "worst": worst, "label": "mood"})
    run = run_for(tmp_path, recipe=energies, plugins=plugins, energies={}, sampler=sampler, steps=4, chains=8, seed=1)
    started = {}
    run.on_event = lambda e: (
        started.update(ids=run.sampler.current(run.problem, run.state)) if e.kind == "start" else None
    )
    results = run.execute()
    stopped = run.problem.stopped
    even = torch.tensor([[not s["start_energy"] for s in r.chains] for r in results])
    assert 0 < int(even.sum()) < 16
    assert (stopped | ~even).all(), "what started with a NaN is stopped"
    for result, row in zip(results, stopped.tolist(), strict=True):
        assert [c["stopped"] for c in result.chains] == row
        assert result.energy[1] is not None
        assert result.energy[1] < float("inf")
        assert any("temporary:fussy" in note for note in result.notes)
    last = run.sampler.current(run.problem, run.state)
    if sampler != "best-of-n":  # each of its draws is a new one
        assert torch.equal(last[even], started["ids"][even]), "a stopped chain moves no more"
    lines = [json.loads(line) for line in (tmp_path / run_files.TRACE).read_text().splitlines()]
    assert lines[-1]["stopped"] == stopped.tolist()
    assert run.step == 4


def test_plus_infinity_is_a_wall_and_stops_nothing(plugins):
    energies = recipe({"name": "fussy", "worst": "inf"})
    run = run_for(recipe=energies, plugins=plugins, energies={}, sampler="suffix-mh", steps=6, chains=8, seed=1)
    results = run.execute()
    assert not run.problem.stopped.any()
    assert run.problem.run.incidents == []
    assert all(r.energy[1] < float("inf") for r in results)


@pytest.mark.parametrize("sampler", [i.name for i in hub().items("sampler")])
@pytest.mark.parametrize("value", ["nan", "inf"])
def test_nothing_finite_is_an_error_that_names_the_energy(sampler, value, plugins, tmp_path):
    energies = recipe({"name": "never", "value": value})
    run = run_for(tmp_path, recipe=energies, plugins=plugins, energies={}, sampler=sampler, steps=2)
    with pytest.raises(NumericalError) as error:
        run.execute()
    if value == "nan":
        assert "temporary:never" in str(error.value)


def test_an_energy_that_raises_in_the_middle_ends_the_run_and_leaves_a_result(tmp_path):
    calls = []

    def tired(response):
        calls.append(0)
        if len(calls) > 3:
            raise RuntimeError("I am tired")
        return -response.expected_length()

    run = run_for(tmp_path, energies={"tired": (1.0, tired)}, sampler="sea", steps=9)
    with pytest.raises(
        PluginError, match=r"energy 'tired' failed in step \d: RuntimeError: I am tired \(.*test_problem.py, line"
    ):
        run.execute()
    written = json.loads((tmp_path / run_files.RESULT).read_text())
    assert [r["status"] for r in written] == ["failed", "failed"]
    assert all(r["response"] for r in written)


def test_a_nan_in_one_prompt_leaves_the_other_alone():
    def picky(response):
        value = warmth(response)
        return torch.cat([value[:1] * torch.nan, value[1:]]) if len(value) == 2 else value

    both = run_for(energies={"picky": (4.0, picky)}, sampler="sea", steps=4)
    results = both.execute()
    assert both.problem.stopped.tolist() == [[True, True], [False, False]]
    alone = run_for(energies={"picky": (4.0, picky)}, sampler="sea", steps=4, prompts=PROMPTS[1:2]).execute()
    assert results[1].response == alone[0].response
    assert results[0].to_dict()["energy"] == {"before": None, "after": None}


def test_hard_and_text_scores_of_a_probe_agree(tmp_path):
    """The reward that is reported is the one of the text: the probe on the hidden states of its tokens."""
    policy, probe = tiny_policy(), tiny_probe(name="mood", bias=0.5)
    weight = probe.head.weight
    probe.save(tmp_path / "mood.safetensors")
    energies = recipe({"name": "reward", "model": str(tmp_path / "mood.safetensors")})
    problem = problem_for(recipe=energies, prompts=PROMPTS, chains=3)
    ids = random_ids(3, 3, 10)
    ids[0, 0, 4:] = EOS
    ids[1, 1, 0:] = EOS
    found = problem.score_as_text(ids).energies.terms["mood"]
    _, rows = reread(policy, ids)
    for p in range(3):
        for c in range(3):
            if not rows[p][c]:
                assert float(found[p, c]) == -0.5
                continue
            with torch.no_grad():
                states = policy.model(torch.tensor([rows[p][c]]), output_hidden_states=True).hidden_states[2][0]
            torch.testing.assert_close(-found[p, c], states.mean(0) @ weight + 0.5, rtol=1e-4, atol=1e-4)
    # read directly, ids that are what their text is again score the same
    same = policy.from_text([["the red and", "go"], ["a", "b"], ["c", "d"]], torch.ones(3, 2).bool())
    direct = problem.terms[1](SoftResponse.from_ids(same.ids, (EOS,)))
    torch.testing.assert_close(direct[:, 0], problem.terms[1](same)[:, 0])
    assert problem.terms[1].is_reward


# --- where chains start


def started(name, **options):
    energies = [{"name": "reference"}, {"name": "length", "target": 3.0}]
    problem = problem_for(recipe={"energies": energies, "initializer": {"name": name, **options}})
    spent = problem.ledger.flops
    return problem, problem.start(noise_for(problem), keep_cache=True), problem.ledger.flops - spent


@pytest.mark.parametrize(
    ("name", "options"), [("draft", {"text": "the red"}), ("random", {}), ("greedy", {}), ("base-samples", {})]
)
def test_a_start_has_log_pi_whatever_wrote_it(name, options):
    problem, start, _ = started(name, **options)
    expected = problem.policy.log_prob(problem.prefix, start.ids).masked_fill(after_end(start.ids, (EOS,)), 0.0)
    torch.testing.assert_close(start.log_prob, expected, atol=1e-4, rtol=1e-4)


def test_log_pi_that_the_initializer_does_not_know_is_counted():
    problem, start, spent = started("random")
    size = problem.policy.body_parameters + problem.policy.head_parameters
    assert spent == 2.0 * size * start.ids.numel()


def test_an_initializer_that_draws_is_told_to_keep_its_cache():
    problem, start, _ = started("base-samples")
    assert start.layers is not None
    assert problem.start(noise_for(problem)).layers is None


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (lambda ids: ids.float(), r"returned a tensor \[1, 2, 10\] \(float32, cpu\)"),
        (lambda ids: ids + 1000, r"ids that are no tokens \(\["),
        (lambda ids: ids[..., :-1], r"a tensor \[1, 2, 9\]"),
        (lambda ids: ids.tolist(), "returned a list"),
    ],
)
def test_a_start_that_is_no_ids_is_the_plugins_fault(written, message):
    problem = replace(problem_for(), initializer=written_by(lambda problem, noise: written(random_ids(1, 2, 10))))
    with pytest.raises(PluginError, match=message):
        problem.start(noise_for(problem))


def test_a_prompt_that_is_there_several_times_is_read_once():
    once, thrice = (problem_for(prompts=prompts) for prompts in (PROMPTS[:2], [PROMPTS[0], *PROMPTS[:2], PROMPTS[0]]))
    read = [problem.ledger.models["policy"].forward for problem in (once, thrice)]
    assert read[0] == read[1]
    assert thrice.prefix.ids.tolist() == [once.prefix.ids.tolist()[i] for i in (0, 0, 1, 0)]
    assert torch.equal(thrice.prefix.last_hidden, once.prefix.last_hidden[[0, 0, 1, 0]])
    for (keys, values), (own_keys, own_values) in zip(thrice.prefix.layers, once.prefix.layers, strict=True):
        assert torch.equal(keys, own_keys[[0, 0, 1, 0]])
        assert torch.equal(values, own_values[[0, 0, 1, 0]])
