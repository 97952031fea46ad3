"""Values and terms on the command line: one grammar for --reward, --energy and --judge."""

from __future__ import annotations

from typing import Any

import pytest

from sea_toolkit.cli.arguments import assignment, energy_term, judge, reward_term
from sea_toolkit.errors import RecipeError
from sea_toolkit.runs.overrides import build_recipe


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('regex,pattern="a,b"', {"pattern": "a,b"}),
        ("regex,pattern='a,\\d'", {"pattern": "a,\\d"}),
        ("regex,pattern=it's, x=1", {"pattern": "it's", "x": 1}),
        ('keywords,words=["a","b"]', {"words": ["a", "b"]}),
        ("keywords,words=['a', 'b,c'],ban=true", {"words": ["a", "b,c"], "ban": True}),
        ("keywords,words=[rain, sun]", {"words": ["rain", "sun"]}),
        ("keywords,words=[rain,]", {"words": ["rain"]}),
        ("keywords,words=[]", {"words": []}),
        ("keywords,words=[[a,1],[b,2]]", {"words": [["a", 1], ["b", 2]]}),
        ("regex,pattern=[a,b]+", {"pattern": "[a,b]+"}),
        ("regex,pattern={2}x", {"pattern": "{2}x"}),
        ("regex,pattern=(a|b)[c", {"pattern": "(a|b)[c"}),
        ("similarity,text=Two words = one", {"text": "Two words = one"}),
        ("json,schema={type=object,required=[a,b]}", {"schema": {"type": "object", "required": ["a", "b"]}}),
        ('json,schema={"type" = "object"}', {"schema": {"type": "object"}}),
        ("x,text=", {"text": ""}),
        ("x,text=5 # five", {"text": "5 # five"}),
        ('x,text="5 # five"', {"text": "5 # five"}),
        ("x,y=1\nz=2", {"y": "1\nz=2"}),
        ("x,y=" + "9" * 5000, {"y": "9" * 5000}),
    ],
)
def test_options_are_what_a_table_of_toml_holds_with_bare_words_allowed(text: str, options: dict[str, Any]) -> None:
    assert energy_term(text) == {"name": text.partition(",")[0], **options}


def test_weights_are_numbers_or_schedules() -> None:
    assert energy_term("length=.5,target=4") == {"name": "length", "weight": 0.5, "target": 4}
    assert energy_term("length={schedule=linear, start=1, end=0},target=4")["weight"] == {
        "schedule": "linear", "start": 1, "end": 0,
    }  # fmt: skip
    assert energy_term("length,weight=5") == {"name": "length", "weight": 5}
    assert reward_term("owner/name=2,output=pos") == {
        "name": "reward", "model": "owner/name", "weight": 2.0, "output": "pos",
    }  # fmt: skip
    assert reward_term("./a=b/x=3")["model"] == "./a=b/x"
    assert reward_term('"with, comma"=3')["model"] == "with, comma"
    assert judge("rm,output=pos,truncate=true") == {"model": "rm", "output": "pos", "truncate": True}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("length,target=4,target=5", "'target' is there twice"),
        ("length=1,weight=5", "the weight is there twice"),
        ("length,name=keywords", "the name is there twice"),
        ("length=heavy", "a number, as in length=8"),
        ("length=", "a number, as in length=8"),
        ("length,", "'' is no option"),
        ("semantic-similarity,text=Hello, dear world", "quotation marks"),
        ('regex,pattern="a', "is not closed"),
        ("keywords,words=[a", "is not closed"),
        ("keywords,words=[a,,b]", "empty entry"),
        ('x,text="a"b', "is no text of TOML"),
        ('x,path="C:\\new\\x"', "is no text of TOML"),
        ("x,table={a=1,a=2}", "twice"),
        ("x,deep=" + "[" * 100_000 + "]" * 100_000, "nested too deep"),
        ("", "has no name"),
        ("=3", "has no name"),
        (",a=1", "has no name"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(RecipeError) as refused:
        energy_term(text)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 500


def test_a_judge_has_no_weight_and_a_reward_one_model() -> None:
    with pytest.raises(RecipeError, match="a judge has no weight"):
        judge("rm=2")
    with pytest.raises(RecipeError, match="the model is there twice"):
        reward_term("rm=2,model=other")


def test_an_assignment_keeps_no_quotation_marks() -> None:
    assert assignment("policy.model='C:\\new'") == ("policy.model", "C:\\new")
    assert assignment("policy.model=C:\\new") == ("policy.model", "C:\\new")
    assert assignment("energies.1.words=[rain,sun]") == ("energies.1.words", ["rain", "sun"])
    assert assignment("rewrite.prompt={response}") == ("rewrite.prompt", "{response}")
    assert assignment("policy.system=") == ("policy.system", "")
    with pytest.raises(RecipeError, match="backslash"):
        assignment('policy.model="C:\\model"')


def test_a_reward_is_given_once_and_changes_the_recipe_s() -> None:
    with pytest.raises(RecipeError, match="'sentiment' is given twice"):
        build_recipe(terms=[reward_term("sentiment=3"), reward_term("sentiment=5")])
    both = build_recipe(terms=[reward_term("rm,output=a"), reward_term("rm=2,output=b")])
    assert [(e.weight, e.options.get("output")) for e in both.energies[1:]] == [(1.0, "a"), (2.0, "b")]
    again = build_recipe(both, terms=[reward_term("rm=4,output=b,truncate=true")])
    assert [(e.weight, e.options.get("output")) for e in again.energies[1:]] == [(1.0, "a"), (4.0, "b")]
    assert again.energies[2].options["truncate"] is True
