"""What several tests of evaluations share."""

from __future__ import annotations

import pytest

from sea_toolkit.evaluation.front import Front
from tests.evaluation.test_pareto import sweep


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Front:
    """A sweep with everything it may be compared with, in a folder."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    return sweep(best_of_n=True, prompted={"warm": "Be warm."}, out=out)
