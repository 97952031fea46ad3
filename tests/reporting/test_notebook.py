"""How a result looks in Python: short as text, whole and harmless as HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

import sea_toolkit as sea
from sea_toolkit.reporting.notebook import WIDTH, as_html, five_lines
from sea_toolkit.testing.tiny import tiny_policy
from tests.helpers import hub


@pytest.fixture(scope="module")
def result():
    return sea.align(
        "a", policy=tiny_policy(), hub=hub(), reward={"long": (8.0, lambda text: len(text))}, chains=4, budget=12,
        max_new_tokens=8,
    )  # fmt: skip


def texts_of(html):
    """The texts in HTML, and its tags."""
    seen, tags = [], []

    class Reader(HTMLParser):
        def handle_data(self, data):
            seen.append(data)

        def handle_starttag(self, tag, attrs):
            tags.append(tag)

    Reader().feed(html)
    return seen, set(tags)


def test_a_result_prints_in_five_lines_whatever_is_in_it(result):
    lines = repr(result).splitlines()
    assert len(lines) == 5
    assert result.response in lines[2]
    assert re.search(r"reward long \d+\.\d+ → \d+\.\d+ · energy", lines[3])
    hostile = {**result.to_dict(), "prompt": "a\n\x1b[2J" * 90, "response": "b\r\n" * 900, "base_response": ""}
    assert len(five_lines(hostile).splitlines()) == 5
    assert "\x1b" not in five_lines(hostile)
    assert max(map(len, five_lines(hostile).splitlines())) < WIDTH + 60
    assert len(repr([result, result])) < 2 * 5 * (WIDTH + 60)


def test_html_has_the_changed_words_each_term_and_candidates(result):
    seen, tags = texts_of(result._repr_html_())
    assert {"del", "ins", "table"} <= tags
    assert {"reference", "long", "8"} <= set(seen)
    assert f"{result.energy[1]:.3f}" in seen
    assert result.candidates[0].text in "".join(seen)


def test_html_shows_markup_as_it_is_written(result):
    script = "<script>alert('x')</script> & <b>"
    data = {**result.to_dict(), "prompt": script, "base_response": script, "response": script + "!", "notes": [script]}
    data["candidates"] = [{**data["candidates"][0], "text": script}]
    data["terms"] = {script: {"before": 1.0, "after": None}}
    data["weights"] = {script: 1.0}
    seen, tags = texts_of(as_html(data))
    assert "script" not in tags
    assert sum(script in text for text in seen) >= 4


def test_tab_finds_every_public_name_and_nothing_that_is_not_ours():
    names = [name for name in dir(sea) if not name.startswith("_")]
    assert names == sorted([*sea.__all__, "testing"])
    assert [n for n in dir(sea.testing) if not n.startswith("_")] == sorted(sea.testing.__all__)


def test_a_policy_says_what_it_is():
    assert repr(tiny_policy()) == "Policy('tiny-llama': LlamaForCausalLM, 0.0453 M weights, float32 on cpu)"
