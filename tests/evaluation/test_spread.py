"""Comparisons and sweeps by workers: the rows of one process, whoever dies, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.evaluation.order import FOLDER, Pieces
from sea_toolkit.evaluation.pareto import pareto
from sea_toolkit.evaluation.piece_worker import PieceJob
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.util.run_files import FRONT, PLAN, ROWS, TABLE
from tests.models.folders import save_with_plugin

PROMPTS = ["the rain", "a", "in"]
MEASURED = ("seconds", "cpu_seconds", "peak_memory_mb", "peak_is_of_the_run", "sha256")
PLUGIN = """
import pathlib
import sea_toolkit as sea

HERE = pathlib.Path(__file__).parent

def mine(prompts, texts):
    if (HERE / "broken").exists() and "in" in prompts:
        raise ValueError("no in")
    if (HERE / "deadly").exists():
        import os
        os._exit(9)
    return [float(len(text)) for text in texts]

def other(prompts, texts):
    return [float(text.count("a")) for text in texts]

def backwards(job, tell, *, most=None):
    workers = [job.worker(), job.worker()]
    for worker in workers:
        worker.load()
    for number, piece in enumerate(job.left()[::-1][:most]):
        assert workers[number % 2].run(piece)
        assert not workers[1 - number % 2].run(piece)
        tell(piece)

@sea.hookimpl
def sea_register_energies(register):
    register("mine", mine)
    register("other", other)

@sea.hookimpl
def sea_register_engines(register):
    register("backwards", backwards)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_with_plugin(tmp_path_factory.mktemp("place"), PLUGIN)


def comparison(place: Path, **more: Any) -> Any:
    given: dict[str, Any] = {
        "prompts": PROMPTS, "samplers": ["best-of-n", "suffix-mh"], "budgets": [2, 4], "batch": 2, "max_new_tokens": 4,
        "energies": {"mine": {"name": "mine"}}, "model": str(place / "model"), "seeds": [0],
        "hub": PluginHub.discover(files=[place / "mine.py"]),
    }  # fmt: skip
    return compare(**{**given, **more})


def sweep(place: Path, **more: Any) -> Any:
    given: dict[str, Any] = {
        "prompts": PROMPTS, "sampler": "suffix-mh", "chains": 1, "steps": 2, "batch": 2, "max_new_tokens": 4,
        "energies": {"mine": {"name": "mine"}, "other": {"name": "other"}}, "model": str(place / "model"),
        "weights": "adaptive:4", "answers": 4, "prompted": {"short": "Be short."},
        "hub": PluginHub.discover(files=[place / "mine.py"]),
    }  # fmt: skip
    return pareto(**{**given, **more})


def rows_of(folder: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in row.items() if key not in MEASURED} for row in rows]


@pytest.fixture(scope="module")
def serial(place: Path) -> Path:
    """A comparison by one process."""
    comparison(place, out=place / "serial")
    return place / "serial"


def test_a_comparison_by_workers_has_the_rows_of_one_process(place: Path, serial: Path, tmp_path: Path) -> None:
    comparison(place, out=tmp_path, engine="backwards", workers=2)
    assert rows_of(tmp_path) == rows_of(serial)
    assert (tmp_path / PLAN).read_bytes() == (serial / PLAN).read_bytes()
    assert (tmp_path / TABLE).exists()
    assert not (tmp_path / FOLDER).exists()
    more = comparison(place, out=tmp_path, engine="backwards", budgets=[2, 4, 6])
    assert more.store.resumed == 15
    assert {row["budget"] for row in rows_of(tmp_path)[15:]} == {6}


def test_a_sweep_by_workers_has_the_rows_of_one_process(place: Path, tmp_path: Path) -> None:
    sweep(place, out=tmp_path / "here")
    sweep(place, out=tmp_path / "there", engine={"name": "backwards"}, workers=2)
    rows = rows_of(tmp_path / "there")
    assert rows == rows_of(tmp_path / "here")
    assert {(row["method"], row["round"]) for row in rows} >= {("base", 0), ("sweep", 1), ("prompted", 0)}
    assert (tmp_path / "there" / FRONT).read_bytes() == (tmp_path / "here" / FRONT).read_bytes()


def test_what_workers_have_done_is_kept_when_the_engine_ends(place: Path, serial: Path, tmp_path: Path) -> None:
    with pytest.raises(SeaError, match=r"3 runs of .* are not done"):
        comparison(place, out=tmp_path, engine={"name": "backwards", "most": 1})
    assert not (tmp_path / PLAN).exists()  # the last ones are done, and rows come in the order of one process
    with pytest.raises(SeaError, match=r"2 runs of .* are not done"):
        comparison(place, out=tmp_path, engine={"name": "backwards", "most": 1})
    comparison(place, out=tmp_path)
    assert rows_of(tmp_path) == rows_of(serial)
    assert not (tmp_path / FOLDER).exists()


def test_a_run_that_cannot_be_done_is_named_and_tried_again(place: Path, serial: Path, tmp_path: Path) -> None:
    one = {"samplers": ["best-of-n"], "out": tmp_path, "engine": "backwards"}
    (place / "broken").touch()
    with pytest.raises(SeaError, match=r"1 of the runs cannot be done:\n  batch 2 of 2, seed 0, best-of-n: .*no in"):
        comparison(place, **one)
    (place / "broken").unlink()
    assert len(rows_of(tmp_path)) == 2 * 3  # the first batch, with the policy's own answers
    comparison(place, **one)
    assert rows_of(tmp_path) == [row for row in rows_of(serial) if row["method"] != "suffix-mh"]


def forked(work: Callable[[], Any]) -> int:
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_run_that_ends_its_process_is_found(place: Path, tmp_path: Path) -> None:
    with pytest.raises(SeaError, match="are not done"):
        comparison(place, out=tmp_path, engine={"name": "backwards", "most": 0}, samplers=["suffix-mh"])
    job = PieceJob(tmp_path / FOLDER, plugins={str(place / "mine.py"): PLUGIN})
    worker = job.worker()
    worker.load()
    (place / "deadly").touch()
    assert [forked(lambda: worker.run(1)) for _ in range(4)] == [9, 9, 9, 0]
    (place / "deadly").unlink()
    (failed,) = Pieces(tmp_path / FOLDER).failed()
    assert failed == {"what": "batch 2 of 2, seed 0, suffix-mh", "error": "it ended the process 3 times"}
    assert job.left() == [0]


def test_another_worker_is_refused_by_what_differs(place: Path, tmp_path: Path) -> None:
    with pytest.raises(SeaError, match="are not done"):
        comparison(place, out=tmp_path, engine={"name": "backwards", "most": 0})
    with pytest.raises(SeaError, match="mine"):
        PieceJob(tmp_path / FOLDER, plugins={str(place / "mine.py"): PLUGIN + "\n"}).worker()
    pieces = Pieces(tmp_path / FOLDER)
    pieces.require({**pieces.versions(), "device": pieces.versions()["device"]})
    with pytest.raises(SeaError, match="device: cpu then, cuda now"):
        pieces.require({**pieces.versions(), "device": "cuda"})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"engine": "backwards"}, "an engine without out"),
        ({"workers": 0}, "workers = 0"),
        ({"gpus_per_worker": 1.0}, "gpus_per_worker without an engine"),
        ({"engine": {"most": 1}, "out": "x"}, "the engine"),
        (
            {"workers": 2, "out": "x", "energies": {"own": lambda prompts, texts: [0.0]}},
            "objects of this process",
        ),
    ],
)
def test_an_engine_that_cannot_work_is_refused(
    place: Path, more: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match=words):
        comparison(place, **more)
    assert not (tmp_path / "x").exists()
