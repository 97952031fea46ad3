"""The page with the longest examples, apart from the others, so that another worker can take it."""

from __future__ import annotations

import pytest

from tests.docs.test_examples import LONGEST, page_parameter, run_page


@pytest.mark.parametrize("page", [page_parameter(LONGEST)])
def test_every_example_of_it_runs(page, request, tmp_path, monkeypatch):
    run_page(page, request, tmp_path, monkeypatch)
