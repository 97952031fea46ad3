"""Numbers that are written into a recipe leave everything else in the file as it was."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.calibration_table import CalibratedTerm, CalibrationTable
from sea_toolkit.runs.recipe_file import refuse_unwritable, with_calibration, write_calibration

RECIPE = """\
# Cheerful, and short.
max_new_tokens = 16   # at most

[sampler]
name     = "tilted"
strength = { schedule = "linear", start = 5.0, end = 2.0 }   # stronger at first

[[energies]]
name = "reference"

[[energies]]
name  = 'reward'   # up
model = "sentiment"
scale = "base-std"
"""
TABLE = CalibrationTable(
    policy="smollm2-135m", max_new_tokens=16, prompts=64, samples=16, seed=3, version="0.1.0", others="0123456789ab",
    terms={
        "sentiment": CalibratedTerm(term="0123456789ab", deviation=1.25),
        'odd "name".x': CalibratedTerm(term="ba9876543210", deviation=0.5, want=0.8, weight=1.5),
    },
)  # fmt: skip


def test_comments_order_and_layout_stay() -> None:
    written = with_calibration(RECIPE, TABLE, "r.toml")
    assert written.startswith(RECIPE + "\n[calibration]\n")
    data = tomllib.loads(written)
    assert CalibrationTable.model_validate(data.pop("calibration")) == TABLE
    assert data == tomllib.loads(RECIPE)


def test_another_calibration_takes_the_place_of_the_first() -> None:
    once = with_calibration(RECIPE, TABLE, "r.toml")
    assert with_calibration(once, TABLE, "r.toml") == once
    other = TABLE.model_copy(update={"seed": 4, "others": None, "terms": {}})
    again = with_calibration(once + '\n[[constraints]]   # a limit\nname = "length"\nmax = 3\n', other, "r.toml")
    assert again.count("[calibration]") == 1
    assert "[calibration.terms" not in again.replace("[calibration.terms]", "")
    assert '[[constraints]]   # a limit\nname = "length"\n' in again
    assert tomllib.loads(again)["calibration"]["seed"] == 4


@pytest.mark.parametrize("text", ["energies = [{ name = 'reference' }] # one line\n", "seed = 1", ""])
def test_other_layouts(text: str) -> None:
    written = with_calibration(text, TABLE, "r.toml")
    assert written.startswith(text)
    assert tomllib.loads(written)["calibration"]["terms"]["sentiment"]["deviation"] == 1.25
    windows = with_calibration(RECIPE.replace("\n", "\r\n"), TABLE, "r.toml")
    assert windows.count("\r\n") == windows.count("\n")


def test_a_file_is_written_whole_and_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "r.toml"
    source.write_text(RECIPE, encoding="utf-8")
    write_calibration(source, TABLE, tmp_path / "new" / "out.toml")
    assert source.read_text(encoding="utf-8") == RECIPE
    assert "[calibration]" in (tmp_path / "new" / "out.toml").read_text(encoding="utf-8")
    for path in (tmp_path / "recipe.json", tmp_path):
        with pytest.raises(RecipeError, match=r"cannot be written"):
            refuse_unwritable(path)
    source.write_text("a = = 1", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"r\.toml is not TOML"):
        write_calibration(source, TABLE, source)
    (tmp_path / "file").write_text("")
    source.write_text(RECIPE, encoding="utf-8")
    with pytest.raises(RecipeError, match="cannot write"):
        write_calibration(source, TABLE, tmp_path / "file" / "r.toml")
