"""The energy `json-schema`: every step from prose to a document that fits costs less than the one before."""

from __future__ import annotations

import builtins
import json
import urllib.request

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.energies.json_schema.energy import JsonSchema, beginning
from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.util import limited
from tests.helpers import hub, problem_for

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "additionalProperties": False,
}


def score(text, schema=SCHEMA):
    return JsonSchema(schema=schema).score_text([""], [text])[0]


def test_each_step_towards_the_schema_costs_less():
    steps = [
        "Sure, here is your JSON",
        '{"name" is Ann, and that is all I can say about her',
        '{"name": "Ann" and so on',
        '{"name": "Ann", "a',
        '{"nam": 1}',  # three violations
        '{"name": 1}',
        '{"name": "Ann"}',
        ' {"name": "Ann", "age": 5}\n',
    ]
    scores = [score(s) for s in steps]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)
    assert scores[0] == 2.0
    assert scores[3] == 1.0
    assert scores[4:] == [3 / 4, 2 / 3, 1 / 2, 0.0]


@pytest.mark.parametrize("text", ["", "  ", "hello", "NaN", "[" * 100_000, "9" * 5000 + "x"])
def test_no_json_at_all(text):
    assert 1.0 <= score(text) <= 2.0


def error_of(text):
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error
    return None


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=80)
@given(documents, st.booleans(), st.data())
def test_whatever_json_is_cut_to_is_a_beginning_of_json(document, escaped, data):
    text = json.dumps(document, ensure_ascii=escaped)
    cut = text[: data.draw(st.integers(1, len(text)))].rstrip()
    error = error_of(cut)
    if cut and error is not None:
        assert beginning(cut, error) == len(cut), cut
        assert score(cut) == 1.0


def test_what_stands_behind_the_document_counts_against_it():
    assert 1.0 < score('{"name": "Ann", "age": 5} Bye') < score('{"name": "Ann", "age": 5} Good bye, and so on')


def test_a_schema_is_a_table_a_text_or_a_file(tmp_path):
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    for schema in (SCHEMA, json.dumps(SCHEMA), str(file)):
        found = JsonSchema(schema=schema)
        assert found.schema == SCHEMA
        assert found.fingerprint == json.dumps(SCHEMA, sort_keys=True)
    file.write_text("{,")
    for wrong in (str(tmp_path / "none.json"), str(file), '{"type":'):
        with pytest.raises(RecipeError, match="schema"):
            JsonSchema(schema=wrong)


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"required": 3}])
def test_a_wrong_schema_is_named(schema):
    with pytest.raises(RecipeError, match="schema is wrong"):
        JsonSchema(schema=schema)


def test_a_table_in_a_recipe_is_no_schedule():
    problem = problem_for(recipe={"energies": [{"name": "json-schema", "schema": SCHEMA}]}, sampler="best-of-n")
    (term,) = problem.terms
    assert not term.differentiable
    assert term.score_text(["p"], [['{"name": "a", "age": 1}', "no"]])[0].tolist() == [0.0, 2.0]
    with pytest.raises(RecipeError, match="pattern is a table without a schedule"):
        problem_for(recipe={"energies": [{"name": "regex", "pattern": {"a": 1}}]}, sampler="best-of-n")


def test_nothing_is_fetched_for_a_reference(monkeypatch):
    asked = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *what, **more: asked.append(what))
    with pytest.raises(RecipeError, match=r"refers to 'https://example\.invalid/schema.json'"):
        score("{}", {"$ref": "https://example.invalid/schema.json"})
    assert not asked


def test_a_missing_package_is_named_with_what_to_install(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "jsonschema":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SeaError, match=r"jsonschema.*not installed[\s\S]*pip install 'sea-alignment\[json\]'"):
        hub().get("energy", "json-schema").build({"schema": SCHEMA})


def doubled(times):
    """A schema that asks for the same `2 ** times` times."""
    parts = {f"d{i + 1}": {"allOf": [{"$ref": f"#/$defs/d{i}"}] * 2} for i in range(times)}
    return {"$defs": {"d0": {"type": "integer"}, **parts}, "$ref": f"#/$defs/d{times}"}


DIALECT = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
CIRCLE, TIME, MISSING = "refers to itself in a circle", "takes more than", "which is not in it"


@pytest.mark.parametrize(
    ("schema", "word"),
    [
        ({"$ref": "#"}, CIRCLE),
        (DIALECT | {"$ref": "#"}, CIRCLE),
        ({"properties": {"a": {"properties": {"b": {"$ref": "#/properties/a/properties/b"}}}}}, CIRCLE),
        ({"anyOf": [{"type": "integer"}, {"$ref": "#"}]}, CIRCLE),
        (doubled(30), TIME),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, MISSING),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "patternProperties and unevaluated"),
        ({"pattern": "("}, "schema is wrong"),
        ({"const": limited}, "cannot be written as JSON"),
        ({"const": "a" * 1_000_000}, "a schema of 1000013 characters"),
    ],
)
def test_a_schema_that_could_never_judge_is_refused_before_a_run(schema, word, monkeypatch):
    monkeypatch.setattr(limited, "SECONDS", 0.05)
    with pytest.raises(RecipeError, match=word):
        JsonSchema(schema=schema)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"multipleOf": 0.01}, "1e400"),
        ({"multipleOf": 0.01}, "1" + "0" * 4000),
        (DIALECT | {"items": {"$ref": "#"}}, "[" * 300 + "]" * 300),
        ({"pattern": "^(a|aa)+$"}, json.dumps("a" * 60 + "b")),
        ({"patternProperties": {"^(a|aa)+$": {}}}, json.dumps({"a" * 60 + "b": 1})),
        (
            {"patternProperties": {"^(a|aa)+$": {}}, "additionalProperties": {"type": "string"}},
            json.dumps({"a" * 60 + "b": 1}),
        ),
    ],
)
def test_an_answer_that_cannot_be_judged_costs_the_most_and_a_note_counts_it(schema, text, monkeypatch):
    energy = JsonSchema(schema=schema)
    monkeypatch.setattr(limited, "SECONDS", 0.02)
    assert energy.score_text([""] * 2, [text, "[]"]) == [2.0, 0.0]
    (note,) = energy.unjudged.notes
    assert note.startswith("json-schema: 1 text could not be judged")


def test_violations_are_those_of_jsonschema():
    schema = {
        "properties": {"a": {"pattern": "^[a-z]+$"}, "b": {"$ref": "#/$defs/n"}},
        "patternProperties": {"^x": {"type": "integer"}},
        "additionalProperties": {"type": "string"},
        "$defs": {"n": {"type": "integer", "minimum": 3}},
    }
    strict = schema | {"additionalProperties": False}
    for chosen in (schema, strict, DIALECT | schema):
        plain = jsonschema.Draft202012Validator(chosen)
        for value in ({}, {"a": "B", "b": 1, "x1": "s", "c": 2, "d": "ok"}, {"a": "b", "x": 1}, [], {"c": 1, "e": 2}):
            count = len(list(plain.iter_errors(value)))
            assert score(json.dumps(value), chosen) == count / (count + 1), (chosen, value)
