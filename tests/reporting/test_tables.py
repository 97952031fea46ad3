"""What a person reads of a comparison: numbers that are missing are dashes, and a cell's bar does not end its cell."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from sea_toolkit.cli.comparison import print_comparison
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.reporting.plots import draw
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


HOSTILE = r"a$\frac$b <script>alert(1)</script> [x](http://evil) | \x1b[2J" + "\x1b[2J\n# head"


def named(report, label):
    """The report with another name for a method."""
    text = json.dumps(report).replace("args", json.dumps(label)[1:-1])
    return json.loads(text)


def test_names_are_no_markup_of_the_table(report):
    table = markdown(named(report, HOSTILE))
    assert "<script>" not in table
    assert "&lt;script&gt;" in table
    assert "](http" not in table
    assert "\x1b" not in table
    assert "\n# head" not in table
    assert r"\x1b[2J\n# head" in table


def test_names_are_no_formulas_of_the_plot(report, tmp_path):
    pytest.importorskip("matplotlib")
    for i, label in enumerate((HOSTILE, "_private \ud800 \\$x$")):
        assert draw(named(report, label), tmp_path / f"{i}.png") == []
        assert (tmp_path / f"{i}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("columns", [None, 200, 80, 30])
def test_a_narrow_terminal_gets_fewer_columns_of_a_comparison_and_says_so(report, tmp_path, monkeypatch, columns):
    label = "a-label-of-a-method-that-is-long"
    monkeypatch.setenv("NO_COLOR", "1")
    if columns:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TTY_COMPATIBLE", "1")  # rich's word for: this is a terminal

    def printed(*, wide):
        with open(tmp_path / "out", "w+") as file:
            monkeypatch.setattr("sys.stdout", file)
            print_comparison(SimpleNamespace(data=lambda: named(report, label)), None, wide=wide)
            file.seek(0)
            return file.read().splitlines()

    lines = printed(wide=False)
    row = next(line for line in lines if line.startswith(label))
    titles = main_table(report)[0]
    if columns in (None, 200):
        assert any(line.split() == " ".join(titles).split() for line in lines)
        assert "[" in row
    else:
        (note,) = [line for line in lines if line.startswith("no room for: ")]
        assert note.startswith("no room for: accepted, MB, s per prompt")
        assert note.endswith("; --wide shows all")
        assert any(line.split() == " ".join(titles).split() for line in printed(wide=True))


def test_a_plot_that_fails_is_a_note(report, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda *a, **k: 1 / 0)
    assert draw(report, tmp_path / "plot.png") == ["no plot: ZeroDivisionError: division by zero"]
