"""Limits in a run: an answer inside wins, with every sampler; they are kept where a hinge breaks them; what is said."""

from __future__ import annotations

import json

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.nested_budgets import BudgetedRun
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.archive import Archive, Candidate
from sea_toolkit.runs.result import Result
from tests.helpers import PROMPTS, hub, run_for, tiny_policy, warmth
from tests.runs.test_resume import assert_same, settings_of

SAMPLERS = [i.name for i in hub().items("sampler")]


class Plugin:
    """Energies as a third party registers them."""

    @sea.hookimpl
    def sea_register_energies(self, register):
        @register("warm")
        def warm(response, *, unit: float = 1.0):
            """Tokens that `warmth` likes."""
            return -unit * warmth(response)

        @register("letters")
        def letters(prompts, texts, *, of: str = "e"):
            """Counts letters of the text: there is no gradient."""
            return [sum(t.count(c) for c in of) for t in texts]


@pytest.fixture(scope="module")
def plugins():
    own = PluginHub.discover(plugins=())
    with own.temporarily(Plugin(), name="acme"):
        yield own


@pytest.fixture
def run(plugins):
    """A run of `warmth` with weight 4 under limits."""

    def make(*constraints, folder=None, **settings):
        recipe = {"energies": [{"name": "reference"}], "constraints": [dict(c) for c in constraints]}
        return run_for(folder, plugins=plugins, recipe=recipe, **settings)

    return make


FEW_WARM = {"name": "warm", "max": 1.0, "label": "few warm"}
FEW_VOWELS = {"name": "letters", "of": "aeiou", "max": 1.0, "label": "few vowels"}


# --- the choice


def text(name, energy, **violations):
    return Candidate(name, energy, {"a": energy}, 1, True, 0, 1, violations=violations)


def test_a_text_inside_all_limits_comes_before_any_other_then_the_nearest_then_the_lowest_energy():
    archive = Archive()
    for candidate in (
        text("cheap", 1.0, a=0.5, b=0.0), text("nearer", 9.0, a=0.2, b=0.1), text("inside", 50.0, a=0.0, b=0.0),
        text("better", 40.0, a=0.0, b=0.0), text("far", 0.0, a=2.0, b=2.0), text("wall", float("inf"), a=0.0, b=0.0),
    ):  # fmt: skip
        archive.add(candidate)
    assert [c.text for c in archive.best] == ["better", "inside", "nearer", "cheap", "far", "wall"]
    assert archive.by_chain[0].text == "better"


@pytest.mark.parametrize(("sampler", "method"), [*((s, "multiplier") for s in SAMPLERS), ("tilted", "hinge")])
def test_every_sampler_answers_with_the_best_text_inside(sampler, method, run):
    """Readings and energies are computed anew from the candidates."""
    limits = ({**FEW_WARM, "method": method}, {**FEW_VOWELS, "method": method, "max": 2.0})
    settings = {"steps": 1 if sampler == "args" else 3} if sampler != "best-of-n" else {"budget": 12}
    if sampler in ("sea", "sea-adam", "mala", "psgld"):  # every term of theirs has a gradient
        limits = limits[:1]
    for result in run(*limits, sampler=sampler, chains=3, max_new_tokens=6, **settings).execute():
        for c in result.candidates:
            assert c.energy == pytest.approx(c.terms["reference"] + 4.0 * c.terms["warmth"], abs=1e-4)
            assert (c.violations["few warm"] == 0) == (-c.terms["warmth"] <= 1.0)
            if len(limits) == 2:
                assert (c.violations["few vowels"] == 0) == (sum(c.text.count(v) for v in "aeiou") <= 2.0)
        inside = [c for c in result.candidates if not any(c.violations.values())]
        pool = inside or [c for c in result.candidates if c.violation == min(o.violation for o in result.candidates)]
        best = min(pool, key=lambda c: c.energy)
        assert (result.response, result.energy[1]) == (best.text, best.energy)
        assert result.kept == bool(inside) == (not result.unmet)
        assert result.limits["few warm"].after == pytest.approx(-result.terms["warmth"][1])


def test_a_cheaper_text_outside_loses(run):
    results = run(FEW_WARM, prompts=PROMPTS, sampler="best-of-n", chains=8, budget=32).execute()
    cheaper = [c for r in results for c in r.candidates if r.kept and c.energy < r.energy[1]]
    assert cheaper
    assert all(c.violation > 0 for c in cheaper)


def test_rewrites_compete_inside_the_limits_too(run):
    made = run(FEW_WARM, prompts=PROMPTS, sampler="best-of-n", chains=1, budget=1, rewrite=12, max_new_tokens=8)
    results = made.execute()
    chosen = [r.candidates[0] for r in results]
    assert any(c.chain == -1 for c in chosen)
    for result in results:
        assert [c.rank for c in result.candidates] == sorted(c.rank for c in result.candidates)


@pytest.mark.parametrize("select", ["energy", "reward"])
def test_comparisons_choose_inside_the_limits(plugins, select):
    recipe = {"energies": [{"name": "reference"}], "constraints": [FEW_WARM], "sampler": {"name": "best-of-n"}}
    made = run_for(plugins=plugins, recipe=recipe, chains=8, budget=32, energies={"liked": (4.0, _Liked())})
    compared = BudgetedRun(made.composition, made.problem, [8, 16], select=select)
    compared.execute()
    assert sorted(compared.snapshots) == [8, 16, 32]
    lower_outside = 0
    for budget, snapshot in compared.snapshots.items():
        for chosen, archive in zip(snapshot.chosen, compared.archives, strict=True):
            met = [c for c in archive.best if c.step < budget / 8]
            nearest = [c for c in met if c.violation == min(o.violation for o in met)]
            value = {"energy": lambda c: c.energy, "reward": lambda c: c.terms["liked"]}[select]
            assert chosen.violation == nearest[0].violation
            assert value(chosen) == pytest.approx(min(map(value, nearest)))
            lower_outside += min(map(value, met)) < value(chosen)
    assert lower_outside


def test_a_comparison_reports_how_many_prompts_keep_the_limits(plugins):
    recipe = {"energies": [{"name": "reference"}], "constraints": [FEW_WARM | {"max": 0.0}]}
    given = {"policy": tiny_policy(), "hub": plugins, "energies": {"warmth": (4.0, warmth)}, "max_new_tokens": 6}
    report = sea.compare(PROMPTS, samplers=["best-of-n"], budgets=[2, 8], recipe=recipe, **given)
    for cell in report.data()["cells"]:
        rows = [r for r in report.store.rows if (r["method"], r["budget"]) == (cell["method"], cell["budget"])]
        kept = [r["violations"]["few warm"] == 0 == r["terms"]["warmth"] for r in rows]
        assert cell["mean"]["limits_kept"]["mean"] == pytest.approx(sum(kept) / len(PROMPTS))


class _Liked:
    """`warmth` as a reward."""

    def bind(self, context):
        return sea.BoundEnergy(energy=warmth, is_reward=True)


def test_a_set_of_chains_is_kept_by_its_violations_first():
    archive = Archive()
    for name, energy, outside in (("a", 1.0, 0.4), ("b", 9.0, 0.1), ("c", 5.0, 0.1), ("d", 0.0, 0.2)):
        archive.add_set([text(name, energy, a=outside), text(f"{name}{name}", energy, a=0.0)])
    assert [c.text for c in archive.best] == ["cc", "c"]


def test_an_energy_over_all_chains_can_be_limited(run):
    limit = {"name": "diversity", "max": 0.5, "label": "alike"}
    result = run(limit, FEW_WARM, sampler="sea", steps=4, chains=3, max_new_tokens=6).execute()[0]
    assert len(result.candidates) == 3
    assert set(result.limits) == {"alike", "few warm"}
    assert all(c.violations["alike"] == pytest.approx(max(0.0, c.terms["alike"] - 0.5) / result.limits["alike"].unit,
                                                      abs=1e-4) for c in result.candidates)  # fmt: skip


# --- multipliers


def test_a_limit_is_kept_where_a_hinge_breaks_it(run):
    """In a unit of a thousandth, 100 nats per unit are nothing; a multiplier finds what it takes."""
    kept = {}
    for method in ("hinge", "multiplier"):
        limit = {"name": "warm", "unit": 0.001, "max": 0.002, "label": "few", "method": method}
        results = run(limit, prompts=PROMPTS, sampler="tilted", chains=2, budget=32, max_new_tokens=12).execute()
        assert not any(r.limits["few"].before <= 0.002 for r in results)
        kept[method] = sum(r.kept for r in results)
    assert kept["multiplier"] == 3 > kept["hinge"] + 1


def test_a_limit_without_a_gradient_moves_the_chains_too(run):
    settings = {"prompts": PROMPTS, "sampler": "suffix-mh", "chains": 6, "budget": 72, "max_new_tokens": 10}
    readings = {}
    for method in ("hinge", "multiplier"):  # a hinge that weighs nothing: the choice alone
        limit = FEW_VOWELS | {"max": 0.0, "method": method} | ({"weight": 0.0} if method == "hinge" else {})
        made = run(limit, **settings)
        made.execute()
        state = made.problem.score_as_text(made.state.ids)
        readings[method] = float(state.energies.terms["few vowels"].mean())
    assert readings["multiplier"] < readings["hinge"] - 0.5


def test_two_ends_are_kept_together(run):
    band = {"name": "warm", "min": 2.0, "max": 3.0, "label": "some"}
    results = run(band, prompts=PROMPTS, sampler="tilted", chains=2, budget=24, max_new_tokens=10).execute()
    assert all(2.0 <= r.limits["some"].after <= 3.0 for r in results)
    assert results[0].limits["some"].words == "min = 2 and max = 3"


@pytest.mark.parametrize("sampler", ["tilted-exact", "mala"])
def test_a_run_with_limits_in_two_pieces_is_the_run_in_one(sampler, tmp_path, run):
    """One is stopped while its multipliers move, and goes on until they stand still."""
    limits = [FEW_WARM] if sampler == "mala" else [FEW_WARM, FEW_VOWELS]
    settings = {**settings_of(sampler), "steps": 7, "max_new_tokens": 8}
    if sampler == "mala":
        settings["sampler"] = {"name": "mala", "check_every": 1}
    run(*limits, folder=tmp_path / "one", **settings).execute()
    run(*limits, folder=tmp_path / "two", stop_after=2, **settings).execute()
    again = run(*limits, folder=tmp_path / "two", **settings)
    again.resume()
    again.execute()
    assert again.problem.run.multipliers.frozen == 3
    assert_same(tmp_path / "one", tmp_path / "two")
    lines = [json.loads(line) for line in (tmp_path / "one" / "trace.jsonl").read_text().splitlines()]
    moved = [line["multipliers"]["few warm"] for line in lines]
    assert moved[1] != moved[2] or moved[2] != moved[3]
    assert moved[4:] == [moved[4]] * len(moved[4:])


def test_a_single_chain_of_a_single_prompt_draws_what_it_measures_on_and_counts_it(run):
    spent = []
    for limits in ([], [FEW_WARM]):
        made = run(*limits, prompts=PROMPTS[:1], sampler="chunk-beam", chains=1, budget=16, max_new_tokens=8)
        made.execute()
        spent.append(made.problem.ledger.samples)
    assert made.problem.run.multipliers.drawn == 4
    assert abs(spent[1] - spent[0]) < 1.5  # the budget is spent on fewer successors


def test_a_potential_is_taken_anew_while_multipliers_move(run):
    """A state of mala keeps the potential of its point: it has to be that of the multipliers of now."""
    made = run(FEW_WARM, sampler={"name": "mala", "check_every": 1}, steps=6, max_new_tokens=6)
    seen = []
    made.on_event = lambda event: seen.append(event.metrics.get("potential"))
    made.execute()
    problem, state = made.problem, made.state
    fresh = made.sampler.at(problem, state.logits, state.candidates, state.center, made.noise)
    torch.testing.assert_close(state.value, fresh.value)
    assert float(problem.run.multipliers.values["few warm"].max()) > 0


# --- what is said


def test_the_law_names_the_multipliers_that_it_holds_with(run):
    settings = {"chains": 2, "max_new_tokens": 8, "sampler": "suffix-mh"}
    for result in run(FEW_WARM, steps=6, **settings).execute():
        value = result.limits["few warm"].multiplier[-1][1]
        assert result.law.endswith(f"with multipliers that stand still since step 3: few warm {value:.4g}")
    (result, _) = run(FEW_WARM, steps=1, **settings).execute()
    assert result.law.startswith("samples no stated law: the multipliers of its limits moved to the end")
    hinge = run(FEW_WARM | {"method": "hinge"}, steps=1, **settings).execute()[0]
    assert hinge.law.endswith("exactly")


def test_where_no_text_is_inside_the_nearest_is_told_with_the_multipliers_way(run):
    impossible = {"name": "letters", "of": "zq", "min": 50.0, "label": "zs"}
    result = run(impossible, sampler="suffix-mh", steps=6, max_new_tokens=8).execute()[0]
    assert not result.kept
    (note,) = [n for n in result.notes if n.startswith("outside of the limit")]
    assert f"outside of the limit zs (min = 50): the nearest of {result.met} texts that were met reads " in note
    assert "Its multiplier went " in note
    assert "in 3 steps; " in note
    assert note.endswith(f"a limit of {result.limits['zs'].after:.4g}, which is kept by this text")
    assert result.unmet["zs"].endswith("below min = 50")
    assert min(c.violation for c in result.candidates) == result.candidates[0].violation > 0
    drawn = run(impossible, sampler="best-of-n", budget=4, max_new_tokens=8).execute()[0]
    (note,) = [n for n in drawn.notes if n.startswith("outside of the limit")]
    assert "a sampler that follows the energy" in note
    assert "multiplier" not in note


def test_a_result_with_limits_is_the_same_after_json(run):
    for result in run(FEW_WARM, FEW_VOWELS | {"method": "hinge"}, sampler="suffix-mh", steps=2).execute():
        again = Result.from_data(json.loads(result.to_json()))
        assert again.limits == result.limits
        assert again.candidates == result.candidates
        assert result.weights["few warm"] == result.contributions["few warm"] == 0.0
        assert sum(result.contributions.values()) == pytest.approx(result.energy[1] - result.energy[0], abs=1e-3)
        assert result.limits["few vowels"].multiplier == []
        assert "few warm" in result._repr_html_()


def test_a_reward_that_fell_for_a_limit_says_so(plugins):
    recipe = {"energies": [{"name": "reference"}], "constraints": [FEW_WARM]}
    energies = {"liked": (4.0, _Liked())}
    settings = {"plugins": plugins, "recipe": recipe, "energies": energies, "sampler": "best-of-n", "budget": 16}
    results = run_for(**settings, prompts=PROMPTS, chains=8).execute()
    fallen = [r for r in results if r.rewards["liked"][1] < r.rewards["liked"][0]]
    assert fallen
    assert all(any("is outside of a limit, and limits come first" in n for n in r.notes) for r in fallen)


# --- recipes


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"max": 1.0, "weight": 5.0}, "has a weight, and how much a limit weighs is found by the run"),
        ({"max": {"columns": "most"}}, r"constraints\[0\].max is {'columns': 'most'}"),
        ({"max": 1.0, "method": "wall"}, "method is 'wall'"),
        ({"name": "letter", "max": 1.0}, "letters"),
        ({"name": "toxicity", "max": -2.0}, 'name = "reward", model = "toxicity"'),
        ({"name": "reward", "model": "length", "max": 2.0}, 'name = "length"'),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused_before_anything_is_loaded(plugins, limit, words):
    recipe = {"energies": [{"name": "reference"}], "constraints": [{"name": "letters"} | limit]}
    with pytest.raises(RecipeError) as raised:
        run_for(plugins=plugins, recipe=recipe)
    assert pytest.importorskip("re").search(words, str(raised.value))


def test_limits_that_exclude_each_other_are_refused_by_name(plugins):
    two = [{"name": "letters", "of": "x", "max": 1.0}, {"name": "letters", "of": "x", "min": 2.0, "label": "xs"}]
    with pytest.raises(RecipeError, match=r"'xs' \(min = 2\) and 'letters limit' \(max = 1\) exclude each other"):
        run_for(plugins=plugins, recipe={"energies": [{"name": "reference"}], "constraints": two})
    two[1]["of"] = "y"  # another reading
    run_for(plugins=plugins, recipe={"energies": [{"name": "reference"}], "constraints": two})


def test_each_prompt_has_the_limit_of_its_row(plugins):
    rows = [{"prompt": PROMPTS[0], "most": 0}, {"prompt": PROMPTS[0], "most": 3}]
    recipe = {
        "energies": [{"name": "reference"}],
        "constraints": [{"name": "warm", "max": {"column": "most"}, "label": "few"}],
        "sampler": {"name": "best-of-n", "budget": 16, "chains": 8},
        "max_new_tokens": 8,
    }
    own = {"warmth": (4.0, warmth)}
    results = sea.align(rows, recipe=recipe, energies=own, policy=tiny_policy(), hub=plugins)
    assert [r.limits["few"].max for r in results] == [0.0, 3.0]
    assert results[0].limits["few"].after <= 0.0 < results[1].limits["few"].after <= 3.0
    with pytest.raises(
        RecipeError, match=r"the limit of 'few' is that of the column 'most', and prompt 2 .* has a blank there"
    ):
        sea.align([rows[0], rows[1] | {"most": " "}], recipe=recipe, energies=own, policy=tiny_policy(), hub=plugins)


def test_a_limit_on_the_policy_costs_no_pass_for_each_candidate_of_a_token(run):
    limit = {"name": "reference", "max": 20.0, "label": "likely"}
    made = run(limit, prompts=PROMPTS, sampler="args", chains=1, budget=16, max_new_tokens=6)
    results = made.execute()
    assert made.problem.ledger.samples < 16
    assert all(c.violations["likely"] == 0 for r in results for c in r.candidates if c.terms["reference"] <= 20.0)
