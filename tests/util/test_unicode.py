"""Text that no tokenizer can read is refused where it comes in: as a prompt, in a recipe, in a row of data."""

from __future__ import annotations

import json

import pytest

from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.util.conversation import as_prompts
from sea_toolkit.util.prompts import read_prompts
from sea_toolkit.util.tables import Source, read_rows

CUT = "rain \ud83d"
"""As JSON reads the first half of an emoji."""


@pytest.mark.parametrize(
    "prompts",
    [
        [CUT],
        [[{"role": "system", "content": CUT}, {"role": "user", "content": "Why?"}]],
        [[{"role": "user", "content": [{"type": "text", "text": CUT}]}]],
    ],
)
def test_a_prompt_with_half_a_character_is_refused_with_its_place(prompts):
    with pytest.raises(RecipeError, match=r"prompt 1 holds '\\ud83d' at character 6, half of a surrogate pair"):
        as_prompts(prompts)


@pytest.mark.parametrize(
    "data",
    [
        {"policy": {"system": CUT}},
        {"energies": [{"name": "semantic-similarity", "text": CUT}]},
        {"energies": [{"name": "keywords", "words": ["rain", CUT]}]},
        {"initializer": {"name": "draft", "text": CUT}},
    ],
)
def test_a_recipe_with_half_a_character_is_refused(data):
    with pytest.raises(RecipeError, match=r"of the recipe holds '\\ud83d'"):
        Recipe.parse(data)


def test_rows_and_prompts_of_a_file_say_the_line(tmp_path):
    file = tmp_path / "d.jsonl"
    file.write_text("\n".join(json.dumps({"prompt": text, "label": 1}) for text in ("sun", CUT)))
    with pytest.raises(RecipeError, match=r"prompt of .*d\.jsonl, line 2 holds"):
        read_rows(Source(file, {}))
    with pytest.raises(RecipeError, match=r"line 2 holds"):
        read_prompts(file)


def test_whole_characters_pass():
    assert as_prompts("🌧️ café\x00") == ["🌧️ café\x00"]
