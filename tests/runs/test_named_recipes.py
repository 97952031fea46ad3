"""Recipes by name: which one is meant, and what of a name, an option or a file is refused."""

from __future__ import annotations

import pytest

from sea_toolkit.errors import PluginError, RecipeError
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.recipe_file import RecipeFile
from sea_toolkit.runs.named_recipes import read_recipe
from sea_toolkit.runs.recipe import Recipe
from tests.helpers import hub

OWN = """
[[energies]]
name = "length"
target = 5

[[energies]]
name = "keywords"

[options]
tokens = { sets = "energies.0.target", help = "how long" }
words = { sets = ["energies.1.words", "energies.1.forbidden"], help = "which words" }
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_is_a_recipe_and_its_options_are_set():
    assert read_recipe("detox", hub()).constraints[0].max == -4.0
    recipe = read_recipe({"name": "keywords", "words": ["rain"], "weight": 3.0}, hub())
    assert recipe.energies[1].options == {"words": ["rain"], "forbidden": []}
    assert recipe.energies[1].weight == 3.0
    draft = read_recipe({"name": "sea-alignment:stay-close", "draft": "It rains."}, hub())
    assert draft.initializer.options["text"] == draft.energies[1].options["text"] == "It rains."


def test_a_name_wins_over_a_file_of_that_name_and_a_path_is_the_file(here):
    (here / "detox").write_text(OWN)
    (here / "mine").write_text(OWN)
    assert read_recipe("detox", hub()).constraints
    for written in ("./detox", here / "detox", "mine"):
        own = read_recipe({"name": written, "words": ["x"]}, hub())
        assert [term.name for term in own.energies] == ["length", "keywords"]


def test_options_of_a_file(here):
    (here / "own.toml").write_text(OWN)
    recipe = read_recipe({"name": "own.toml", "words": ["x"], "tokens": 9}, hub())
    assert recipe.energies[0].options["target"] == 9
    assert recipe.energies[1].options == {"words": ["x"], "forbidden": ["x"]}
    for load in (lambda: Recipe.load("own.toml"), lambda: read_recipe("own.toml", hub())):
        with pytest.raises(RecipeError, match=r"(?s)own\.toml needs words \(which words\).*own\.toml,words=…"):
            load()


MISTAKES = {
    "unknown name": ("detx", r"(?s)recipe 'detx' does not exist.*recipe list.*'detox'"),
    "unknown option": ({"name": "detox", "mx": 1}, "detox: unknown option 'mx'.*\n.*'max'"),
    "no value": ("keywords", r"(?s)keywords needs words \(words or phrases.*\).*--recipe keywords,words=…"),
    "wrong value": ({"name": "detox", "max": "x"}, r"detox: constraints\[0\]\.max is 'x'"),
    "no text": ({"name": 3}, "the name of the recipe is 3"),
    "no file": ("none.toml", "none.toml cannot be read: No such file"),
    "newer": ({"requires": "9.1", "whatever": 1}, r"(?s)recipe requires sea-alignment 9\.1, and this is .*>=9\.1"),
    "no version": ({"requires": "soon"}, "requires is 'soon'"),
    "a number for a version": ({"requires": 1}, "requires is 1"),
    "an option without a place": ({"options": {"a": {}}}, r"options\.a sets nothing"),
    "an option of nothing": (
        {"energies": [], "options": {"a": {"sets": "energies.0.weight"}}},
        r"option 'a'.*'0' holds no keys",
    ),
    "an option that is no name": ({"options": {"a b": {"sets": "seed"}}}, "cannot be set by its name"),
    "a key of an option": ({"options": {"a": {"sets": "seed", "hlp": ""}}}, "unknown key 'hlp'.*\n.*'help'"),
    "options": ({"options": 3}, "options is 3"),
    "places": ({"options": {"a": {"sets": [1]}}}, r"sets is \[1\]"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(case, here):
    source, message = MISTAKES[case]
    with pytest.raises(RecipeError, match=message):
        read_recipe(source, hub())


def test_a_recipe_of_this_version_or_an_older_one_is_read():
    assert Recipe.parse({"requires": "0.0.1", "seed": 3}).seed == 3


def test_filling_leaves_the_recipe_as_it_is():
    data = {"energies": [{"name": "length", "target": 5}], "options": {"n": {"sets": "energies.0.target"}}}
    recipe = RecipeFile(data, "r")
    assert recipe(n=7)["energies"][0]["target"] == 7
    assert recipe()["energies"][0]["target"] == data["energies"][0]["target"] == 5


PLUGIN = """
    import sea_toolkit as sea

    @sea.hookimpl
    def sea_register_recipes(register):
        @register("brief")
        def brief(*, tokens: int = 7):
            "Short answers."
            return {"energies": [{"name": "length", "target": tokens}]}

        @register("broken")
        def broken():
            return 3

        register("filed", target="sea_kit:filed.toml", summary="From a file.")
        register("lost", target="sea_kit:lost.toml", summary="From no file.")
"""


def test_recipes_of_a_plugin(install, monkeypatch):
    file = install("sea-kit", PLUGIN)
    package = file.with_suffix("")
    package.mkdir()
    file.rename(package / "__init__.py")
    (package / "filed.toml").write_text(OWN)
    found = PluginHub.discover()
    found.inspect()
    listed = found.records[-1].provides["recipe"]
    assert listed == {"brief": "Short answers.", "broken": "", "filed": "From a file.", "lost": "From no file."}
    assert read_recipe({"name": "brief", "tokens": 3}, found).energies[0].options == {"target": 3}
    assert read_recipe({"name": "filed", "words": []}, found).energies[0].options == {"target": 5}
    with pytest.raises(RecipeError, match=r"option 'tokens' is 'x'"):
        read_recipe({"name": "brief", "tokens": "x"}, found)
    with pytest.raises(PluginError, match=r"(?s)recipe 'broken'.*sea-kit.*returned a int"):
        read_recipe("broken", found)
    with pytest.raises(PluginError, match=r"(?s)recipe 'lost'.*sea-kit.*lost\.toml cannot be read"):
        read_recipe("lost", found)
