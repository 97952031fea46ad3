"""Sweeps over weights: candidates that all weights share, rows that survive a killed process, numbers that add up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.evaluation.front import Front
from sea_toolkit.evaluation.front_geometry import hypervolume, nondominated
from sea_toolkit.evaluation.pareto import pareto
from sea_toolkit.evaluation.sweep_runs import SweepWork
from sea_toolkit.runs.archive import Archive
from sea_toolkit.util.run_files import FRONT, PLOT, RESULTS, ROWS, TABLE
from tests.helpers import PROMPTS, hub, problem_for, tiny_policy, warmth

OF_THE_MACHINE = ("seconds", "cpu_seconds", "sha256")


def far_from_five(prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
    """An energy of texts, without a gradient."""
    return [abs(len(text) - 5.0) for text in texts]


OWN = {"warmth": (1.0, warmth), "length": (1.0, far_from_five)}


def sweep(**more: Any) -> Front:
    given = {
        "prompts": PROMPTS, "policy": tiny_policy(), "hub": hub(), "max_new_tokens": 6, "batch": 2, "weights": "grid:3",
        "budget": 6.0, "chains": 2, "answers": 4, "sampler": "suffix-mh", "energies": OWN, "best_of_n": False,
    }  # fmt: skip
    return pareto(**{**given, **more})


def rows_of(file: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k not in OF_THE_MACHINE} for row in rows]


class TestCandidates:
    def test_every_text_met_under_any_weight_is_a_candidate_for_all(self, front: Front) -> None:
        numbers = front.numbers
        assert numbers is not None
        for place, found in zip(numbers.places, numbers.fronts, strict=True):
            rows = [r for r in front.store.rows if r["prompt_index"] == place and r["method"] in ("base", "sweep")]
            met = {text["text"] for row in rows for text in row["texts"]}
            assert {text.text for text in found["sweep"].texts} == met
            assert len(rows) == 1 + 3

    def test_the_answer_for_a_weight_is_the_lowest_energy_of_all_of_them(self, front: Front) -> None:
        numbers = front.numbers
        assert numbers is not None
        elsewhere = 0
        for found, weights in zip(numbers.fronts, numbers.weights, strict=True):
            for answer, under, vector in zip(found["sweep"].answers, weights, numbers.vectors, strict=True):
                energies = [sum(under[k] * v for k, v in text.terms.items()) for text in found["sweep"].texts]
                assert sum(under[k] * v for k, v in answer.terms.items()) == min(energies)
                elsewhere += answer.where != ",".join(f"{share:g}" for share in vector)
        assert elsewhere  # some answer was met under another weight

    def test_a_weight_is_its_share_of_the_strength_for_each_unit(self, front: Front) -> None:
        numbers = front.numbers
        assert numbers is not None
        units = {o.label: o.unit for o in numbers.objectives}
        for weights in numbers.weights:
            for under, (warm, length) in zip(weights, numbers.vectors, strict=True):
                assert under["reference"] == 1.0
                assert under["warmth"] == pytest.approx(16.0 * warm / units["warmth"], rel=1e-5)
                assert under["length"] == pytest.approx(16.0 * length / units["length"], rel=1e-5)

    def test_the_stated_values_are_those_of_the_text_scored_again(self, front: Front) -> None:
        """Texts of the sweep and of the instructed policy alike, under the prompt without an instruction."""
        problem = problem_for(OWN, prompts=PROMPTS, max_new_tokens=6, sampler="suffix-mh")
        for row in front.store.rows:
            few = row["texts"][:3]
            p = row["prompt_index"]
            finished = torch.tensor([[text["finished"] for text in few]] * len(PROMPTS))
            texts = [[text["text"] for text in few]] * len(PROMPTS)
            response = problem.policy.from_text(texts, finished)
            for term in problem.terms:
                value = term.of_text(response, problem.prompts, texts)[p].tolist()
                stated = [text["terms"][term.label] for text in few]
                if term.label != "reference":  # of a text cut short by special tokens it charges the drawn ones
                    assert stated == pytest.approx(value, abs=1e-4), row["method"]
                else:
                    same = [
                        text["tokens"] == n for text, n in zip(few, response.alive[p].sum(-1).tolist(), strict=True)
                    ]
                    assert any(same)
                    assert [s for s, ok in zip(stated, same, strict=True) if ok] == pytest.approx(
                        [v for v, ok in zip(value, same, strict=True) if ok], abs=1e-3
                    ), row["method"]

    def test_more_texts_than_a_run_keeps_for_its_result_are_all_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sea_toolkit.runs.archive.KEEP", 1)
        found = sweep(prompts=PROMPTS[:1], weights=["1,1"])
        (row,) = [r for r in found.store.rows if r["method"] == "sweep"]
        assert len(row["texts"]) > 1
        assert Archive().best == []


class TestNumbers:
    def test_the_report_counts_what_its_definition_says(self, front: Front) -> None:
        data, numbers = front.data(), front.numbers
        assert numbers is not None
        warm, length = data["objectives"]
        assert (warm["label"], warm["better"], length["better"]) == ("warmth", "lower", "lower")
        base = [[t["terms"]["length"] for t in r["texts"]] for r in front.store.rows if r["method"] == "base"]
        within = np.concatenate([np.array(row) - np.mean(row) for row in base])
        assert length["unit"] == pytest.approx((np.square(within).sum() / (len(within) - len(base))) ** 0.5)
        assert length["reference"] == pytest.approx(np.quantile(np.concatenate(base), 0.9))
        volumes = []
        for found in numbers.fronts:
            z = [
                [(o["reference"] - text.terms[o["label"]]) / o["unit"] for o in (warm, length)]
                for text in found["sweep"].texts
            ]
            volumes.append(hypervolume(np.array(z)))
        assert data["metrics"]["hypervolume"]["sweep"]["mean"] == pytest.approx(np.mean(volumes))

    def test_all_methods_have_the_compute_of_the_sweep(self, front: Front) -> None:
        spent = front.data()["spent"]
        assert spent["best-of-n"]["samples"] == spent["prompted"]["samples"]
        assert 0 <= spent["best-of-n"]["samples"] - spent["sweep"]["samples"] < 1
        assert spent["sweep"]["cpu_seconds"] > 0

    def test_the_front_of_a_prompt_is_what_nothing_dominates(self, front: Front) -> None:
        for entry in front.data()["fronts"]:
            z = -np.array([[text["values"]["warmth"], text["values"]["length"]] for text in entry["texts"]])
            assert nondominated(z).all()
            assert (np.diff(z[:, 0]) >= 0).all()

    def test_a_reward_with_a_negative_weight_is_to_be_lowered(self) -> None:
        found = sweep(
            prompts=PROMPTS[:1],
            energies={"length": (1.0, far_from_five)},
            reward={
                "cold": (-1.0, lambda prompts, texts: [float(sum(letter < "M" for letter in text)) for text in texts])
            },
        )
        (cold, _) = found.data()["objectives"]
        assert (cold["label"], cold["better"]) == ("cold", "lower")
        front = found.pick("1,0")[0]
        assert front.values["cold"] == min(t["values"]["cold"] for t in found.data()["fronts"][0]["texts"])

    def test_a_scale_of_the_recipe_is_the_unit(self) -> None:
        own = {"warmth": ({"weight": 1.0, "scale": 2.5}, warmth), "length": OWN["length"]}
        found = sweep(prompts=PROMPTS[:1], energies=own)
        assert found.numbers is not None
        assert found.numbers.objectives[0].unit == 2.5
        assert [under["warmth"] for under in found.numbers.weights[0]] == pytest.approx([16 / 2.5, 8 / 2.5, 0.0])

    def test_the_reference_may_be_an_objective(self) -> None:
        found = sweep(prompts=PROMPTS[:1], objectives=["reference", "length"], energies=OWN)
        assert [o["label"] for o in found.data()["objectives"]] == ["reference", "length"]
        assert found.numbers is not None
        reference = [under["reference"] for under in found.numbers.weights[0]]
        assert reference == pytest.approx([16.0 / found.numbers.objectives[0].unit, reference[0] / 2, 0.0])
        assert found.numbers.weights[0][0]["warmth"] == 1.0  # what is no objective keeps its weight

    def test_texts_outside_of_a_limit_are_on_no_front(self) -> None:
        limit = {"name": "length", "target": 0, "max": 0.3, "label": "short"}
        found = sweep(prompts=PROMPTS[:2], constraints=[limit], max_new_tokens=8)
        assert found.numbers is not None
        assert found.limits == ["short"]
        for place, fronts in zip(found.numbers.places, found.numbers.fronts, strict=True):
            rows = [r for r in found.store.rows if r["prompt_index"] == place and r["method"] in ("base", "sweep")]
            met = {(t["text"], t["finished"]): t for row in rows for t in row["texts"]}
            kept = {text for (text, _), t in met.items() if t["terms"]["short"] <= 0.3}
            assert 0 < len(kept) < len(met)
            assert {text.text for text in fronts["sweep"].texts} == kept
        assert not any("no text that keeps all limits" in note for note in found.data()["notes"])

    def test_a_limit_that_no_text_keeps_is_said(self) -> None:
        limit = {"name": "length", "target": 90, "max": 1.0, "label": "short"}
        found = sweep(prompts=PROMPTS[:1], constraints=[limit])
        assert (
            "1 prompts have no text that keeps all limits: what counts there is the nearest one"
            in found.data()["notes"]
        )


class TestFolder:
    def test_what_is_written(self, front: Front) -> None:
        assert front.folder is not None
        names = sorted(path.name for path in front.folder.iterdir() if not path.name.startswith("."))
        assert names == sorted([FRONT, ROWS, RESULTS, TABLE, PLOT])
        assert json.loads((front.folder / RESULTS).read_text()) == json.loads(json.dumps(front.data()))
        assert "best-of-n" in (front.folder / TABLE).read_text()

    def test_a_killed_sweep_goes_on_where_it_stopped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        more = {"weights": "adaptive:5", "prompts": PROMPTS[:2], "batch": 1}
        monkeypatch.setattr("sea_toolkit.reporting.plots.draw", lambda *given: [])
        whole = sweep(out=tmp_path / "whole", **more)

        class Killed(BaseException):
            pass

        plain, made = SweepWork.run_round, []

        def stop_at_the_third(self: SweepWork, *given: Any) -> None:
            made.append(given[1])
            if len(made) == 3:
                raise Killed
            plain(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(SweepWork, "run_round", stop_at_the_third)
            with pytest.raises(Killed):
                sweep(out=tmp_path / "cut", **more)
        assert made == [0, 0, 1]  # two batches, then a round that depends on both
        with open(tmp_path / "cut" / ROWS, "a") as file:  # the process died while it wrote
            file.write('{"method": "sweep", "rou')
        again = sweep(out=tmp_path / "cut", **more)
        assert rows_of(tmp_path / "cut" / ROWS) == rows_of(tmp_path / "whole" / ROWS)
        now, then = again.data(), whole.data()
        assert {k: v for k, v in now.items() if k != "spent"} == {k: v for k, v in then.items() if k != "spent"}
        assert len(now["weights"]) == 5
        kept = (tmp_path / "cut" / ROWS).read_bytes()
        sweep(out=tmp_path / "cut", **more)  # what later weights gave does not change where they were put
        assert (tmp_path / "cut" / ROWS).read_bytes() == kept

    def test_ctrl_c_keeps_what_is_done(self, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = SweepWork.run_round

        def stop_at_the_second(self: SweepWork, batch: Any, *given: Any) -> None:
            if batch.index == 1:
                raise KeyboardInterrupt
            plain(self, batch, *given)

        monkeypatch.setattr(SweepWork, "run_round", stop_at_the_second)
        with pytest.warns(UserWarning, match="2 of 3 prompts are finished"):
            found = sweep()
        assert (found.status, found.data()["prompts"]) == ("interrupted", 2)
        assert len(found.pick("knee")) == 2

    def test_another_question_is_refused_and_a_baseline_may_be_added(
        self, front: Front, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sea_toolkit.reporting.plots.draw", lambda *given: [])
        first = sweep(prompts=PROMPTS[:1], out=tmp_path / "a")
        more = sweep(prompts=PROMPTS[:1], out=tmp_path / "a", best_of_n=True)
        assert more.store.resumed == len(first.store.rows)
        assert more.data()["differences"]
        with pytest.raises(SeaError, match="another sweep; what differs: strength"):
            sweep(prompts=PROMPTS[:1], out=tmp_path / "a", strength=2.0)
        assert front.folder is not None
        with pytest.raises(SeaError, match="is not empty"):
            pareto(PROMPTS, energies=OWN, policy=tiny_policy(), hub=hub(), out=front.folder.parent)


class TestStreams:
    def test_batches_do_not_change_the_streams_of_a_prompt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made: list[tuple[str, str]] = []
        plain = Noise.for_prompts.__func__  # type: ignore[attr-defined]

        def watched(cls: type[Noise], prompts: Sequence[str], *given: Any, **more: Any) -> Noise:
            noise: Noise = plain(cls, prompts, *given, **more)
            made.extend((str(p), str(g.initial_seed())) for p, g in zip(prompts, noise.generators, strict=True))
            return noise

        monkeypatch.setattr(Noise, "for_prompts", classmethod(watched))
        sweep(batch=1, best_of_n=True, budget=2.0)
        alone, _ = set(made), made.clear()
        sweep(batch=3, best_of_n=True, budget=2.0)
        assert set(made) == alone
        assert len(alone) == len(made) == 3 * (1 + 3 + 1)  # all different


class TestRefusals:
    @pytest.mark.parametrize(
        ("more", "words"),
        [
            ({"energies": {"warmth": (1.0, warmth)}}, "fewer than two objectives: warmth"),
            ({"objectives": ["warmth"]}, "fewer than two objectives: warmth"),
            ({"objectives": ["warmth", "lenght"]}, "no term 'lenght'"),
            ({"objectives": ["warmth", "warmth"]}, "there twice"),
            ({"weights": ["0,0"]}, "all 0"),
            ({"weights": ["1,2,3"]}, "3 numbers for 2 objectives"),
            ({"strength": 0.0}, "a strength of 0"),
            ({"pick": ["lenght <= 3"]}, "'lenght' is no objective"),
            ({"pick": ["0,0"]}, "all 0"),
            ({"prompted": ["Be warm."]}, "LABEL=TEXT"),
            ({"prompts": [PROMPTS[0], PROMPTS[0]]}, "is there twice"),
            ({"energies": {**OWN, "warmth": (0.0, warmth)}, "objectives": ["warmth", "length"]}, "has the weight 0"),
            ({"energies": {**OWN, "warmth": ({"column": "w"}, warmth)}}, "comes from the column 'w'"),
            (
                {"energies": {k: ({"weight": 1.0, "maximin": "g"}, f) for k, (_, f) in OWN.items()}},
                "is spread by maximin",
            ),
            ({"recipe": {"initializer": {"name": "draft", "text": ["a", "b", "c"]}}}, "a list of texts to begin with"),
            ({"recipe": {"rewrite": {"samples": 2}}}, "rewrites compete by one energy"),
        ],
    )
    def test_a_mistake_is_said_before_anything_is_drawn(
        self, more: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(SweepWork, "draw_base", lambda *given: pytest.fail("something was drawn"))
        with pytest.raises(RecipeError, match=words):
            sweep(**more)

    def test_an_objective_that_is_the_same_for_all_answers_has_no_unit(self, tmp_path: Path) -> None:
        own = {**OWN, "flat": (1.0, lambda prompts, texts: [3.0] * len(texts))}
        with pytest.raises(RecipeError, match="'flat' is the same for all answers of the policy to a prompt"):
            sweep(prompts=PROMPTS[:1], energies=own)
