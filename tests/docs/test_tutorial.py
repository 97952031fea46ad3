"""The tutorial keeps what it promises: a reward of one's own in fewer than fifteen lines."""

from __future__ import annotations

from tests.docs.test_examples import ROOT, blocks_of


def test_the_authors_own_lines_are_as_many_as_it_says():
    blocks = blocks_of((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    (own,) = (block for block in blocks if block.title == "sea-cosy/src/sea_cosy/energy.py")
    lines = [line for line in own.body.splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith(("from ", "import "))]) == 14
    assert max(map(len, lines)) <= 100  # what a new package is linted by
