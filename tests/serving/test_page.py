"""The blocks of docs/serve.md run against a server with a tiny model; see tests/docs/test_examples.py."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.serving.limits import Limits
from tests.docs.test_examples import SERVED, blocks_of, run_page
from tests.serving.conftest import need_the_extra, recipe, start


def test_every_example_of_the_page_runs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_the_extra()
    blocks = blocks_of(SERVED.read_text(encoding="utf-8"))
    brief = Recipe.parse(tomllib.loads(next(block.body for block in blocks if block.title == "brief.toml")))
    offered = {"positive": recipe(sampler={"name": "best-of-n", "budget": 2.0}), "brief": brief}
    server, url, thread = start(Limits(window=0.0), recipes=offered, model="smollm2-135m", keys=("page",))
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "page")
    try:
        assert server.worker.ready.wait(30)
        run_page(SERVED, request, tmp_path, monkeypatch)
    finally:
        server.handle_exit(2, None)
        thread.join(30)
