"""What a person reads of a comparison: numbers that are missing are dashes, and a cell's bar does not end its cell."""

from __future__ import annotations

import pytest

from sea_toolkit.evaluation.compare import compare
from sea_toolkit.reporting.tables import interval, main_table, markdown, plain, title_of
from tests.helpers import PROMPTS, hub, tiny_policy, warmth


@pytest.fixture(scope="module")
def report():
    return compare(
        PROMPTS,
        samplers=["warm|one=best-of-n", "args"],
        budgets=[4],
        energies={"warmth": (4.0, warmth)},
        policy=tiny_policy(),
        hub=hub(),
        max_new_tokens=4,
        batch=2,
    ).data()


def test_every_row_has_a_cell_for_each_title(report):
    titles, rows = main_table(report)
    assert {len(row) for row in rows} == {len(titles)}
    assert {row[0] for row in rows} == {"base", "warm|one", "args"}
    for line in markdown(report).splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") == len(titles) + 1


def test_what_is_missing_is_a_dash():
    assert plain(None, ".2f") == interval({"mean": None, "low": None, "high": None}) == "–"
    assert plain(0.456, ".2f") == "0.46"
    assert interval({"mean": 4.75, "low": 4.1, "high": 5.378}) == "4.75 [4.10, 5.38]"


def test_metrics_have_names_for_people():
    assert title_of("nll_per_token") == "−log π per token"
    assert title_of("judge:other") == "judge other"
