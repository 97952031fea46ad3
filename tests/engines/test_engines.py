"""The engines in the box: real processes, one of which ends in the middle of a shard."""

from __future__ import annotations

import builtins
import os
import pickle
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from sea_toolkit.engines import ray_cluster
from sea_toolkit.engines.local import _devices
from sea_toolkit.errors import RecipeError
from sea_toolkit.shards.job import ShardJob
from sea_toolkit.testing import Setting, check_engine
from sea_toolkit.testing.engines import PROPERTIES
from sea_toolkit.util.locks import hold
from sea_toolkit.work.job import Job
from tests.helpers import hub


def test_local() -> None:
    assert set(check_engine("local", Setting(hub=hub()))) == set(PROPERTIES)


@pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")
def test_ray() -> None:
    before, folders = signal.getsignal(signal.SIGTERM), set(Path("/tmp").glob("sea-ray-*"))
    own_print = builtins.print
    assert set(check_engine("ray", Setting(hub=hub()))) == set(PROPERTIES)
    assert builtins.print is own_print  # Ray's is a function of another name, which plugins and users would meet
    assert signal.getsignal(signal.SIGTERM) == before  # else a command that is stopped loses what it has
    assert set(Path("/tmp").glob("sea-ray-*")) <= folders


def test_what_the_cluster_of_a_killed_command_has_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "PLACE", tmp_path)
    held, left, young, other = (tmp_path / f"sea-ray-{name}" for name in ("held", "left", "young", "other"))
    for folder in (held, left, young):
        with hold(folder / "cluster", "a cluster"):
            pass
    other.mkdir()
    for folder in (held, left, other):
        os.utime(folder, (0, 0))
    with hold(held / "cluster", "a cluster"):
        os.utime(held, (0, 0))
        ray_cluster._remove_left()
    assert sorted(tmp_path.iterdir()) == [held, other, young]


@pytest.mark.parametrize(
    ("workers", "gpus", "expected"),
    [(2, 0.0, [None, None]), (2, 1.0, ["4", "5"]), (2, 2.0, ["4,5", "6,7"]), (3, 0.5, ["4", "4", "5"])],
)
def test_each_local_worker_sees_its_gpus(
    workers: int, gpus: float, expected: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    assert _devices(ShardJob(Path("x"), workers, gpus)) == expected


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(RecipeError, match="this machine has 2"):
        _devices(ShardJob(Path("x"), 3, 1.0))
    with pytest.raises(RecipeError, match="a whole number"):
        _devices(ShardJob(Path("x"), 1, 1.5))


def test_a_job_travels_as_text_and_brings_its_plugins(tmp_path: Path) -> None:
    job = ShardJob(tmp_path, 2, 0.5, {str(tmp_path / "gone.py"): "x = 1\n"}, ("a:b",), ("h:1",), True)
    assert Job.from_json(job.to_json()) == job
    assert pickle.loads(pickle.dumps(job)) == job


def test_an_engine_needs_ray_to_be_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    from sea_toolkit.engines.ray import ray

    with pytest.raises(RecipeError, match=r"sea-alignment\[ray\]"):
        ray(ShardJob(tmp_path), lambda piece: None)
