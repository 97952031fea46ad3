"""A point that is not one of its budget takes part in no verdict, and the table says so."""

from __future__ import annotations

import pytest

from sea_toolkit.evaluation.compare import compare
from sea_toolkit.evaluation.equal_budgets import NO_COMPARISON, unequal
from sea_toolkit.reporting.tables import main_table, markdown
from tests.helpers import endless, hub, warmth


@pytest.mark.parametrize(
    ("samples", "idle", "words"),
    [(8.0, 0.0, ""), (8.8, 0.4, ""), (None, 0.0, ""), (8.9, 0.0, "11% more"), (4.0, 0.5, "took no step")],
)
def test_what_is_not_a_point_of_its_budget(samples: float | None, idle: float, words: str) -> None:
    found = unequal(8.0, samples, idle)
    assert words in found
    assert bool(words) == bool(found)


def test_a_method_without_a_step_is_marked_and_compared_with_none() -> None:
    report = compare(
        [f"{i} the rain" for i in range(6)],
        samplers=["mala", "best-of-n", "args"],
        budgets=[4, 12],
        options={"mala": {"chains": 1}},
        energies={"warmth": (4.0, warmth)},
        policy=endless(),
        hub=hub(),
        max_new_tokens=4,
    )
    data = report.data()
    cells = {(c["method"], c["budget"]): c for c in data["cells"]}
    assert "no step" in cells["mala", 4.0]["unequal"]
    assert not any(cells[key]["unequal"] for key in cells if key != ("mala", 4.0))
    for pair in data["pairs"]:
        assert (pair["verdict"] == NO_COMPARISON) == ("mala@4" in (pair["a"], pair["b"]))
    (stated,) = [s for s in data["statements"] if s.startswith("mala@4 − best-of-n@4, energy")]
    assert stated.endswith("no comparison, see the note on mala@4")
    assert any(n.startswith("mala@4 took no step") for n in data["notes"])
    assert {row[1] for row in main_table(data)[1] if row[0] == "mala"} == {"4 (!)", "12"}
    assert "A budget with (!)" in markdown(data)
    assert all(c["samples"] <= c["budget"] + 0.5 for c in data["cells"])
