"""The energy `json-schema`: every step from prose to a document that fits costs less than the one before."""

from __future__ import annotations

import builtins
import json
import urllib.request

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.energies.json_schema import JsonSchema, beginning
from sea_toolkit.errors import RecipeError, SeaError
from tests.helpers import hub, problem_for

pytest.importorskip("jsonschema")

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


@settings(max_examples=150, deadline=None)
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
