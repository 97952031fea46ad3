"""A folder is in the hands of one process, until it lets go or ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sea_toolkit.errors import SeaError
from sea_toolkit.runs.folder import held_folder
from sea_toolkit.util.locks import hold

HOLDER = """
import sys
from pathlib import Path
from sea_toolkit.util.locks import hold
with hold(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has `tmp_path / "run"` until it reads a line."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_comes_second_is_refused(tmp_path, holder):
    with (
        pytest.raises(
            SeaError, match=r"the run in .* is in use by process \d+ on .+\nexpected: .*\ntry: wait"
        ) as caught,
        hold(tmp_path / "run", f"the run in {tmp_path}"),
    ):
        pytest.fail("two have it")
    assert caught.value.__cause__ is None
    with hold(tmp_path / "other", "another folder"):
        pass


def test_the_end_of_a_process_lets_go(tmp_path, holder):
    holder.kill()
    holder.wait()
    with hold(tmp_path / "run", "the run"):
        pass


def test_who_may_wait_says_so_and_gets_it(tmp_path, holder):
    said = []

    def waiting() -> None:
        said.append("waiting")
        holder.stdin.write("\n")
        holder.stdin.flush()

    with hold(tmp_path / "run", "the run", waiting=waiting):
        assert holder.wait() == 0
    assert said == ["waiting"]


def test_an_error_inside_lets_go(tmp_path):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), hold(tmp_path / "a" / "run", "the run"):
            raise ZeroDivisionError


def test_nothing_appears_inside_the_folder(tmp_path):
    folder = Path(tmp_path / "run")
    folder.mkdir()
    with hold(folder, "the run"):
        assert list(folder.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no folder that even root cannot write")
def test_where_no_lock_can_be_written_nobody_is_blamed():
    with pytest.raises(OSError, match="no lock file can be written"), hold(Path("/proc/none"), "the run"):
        pass
    with pytest.raises(SeaError, match="cannot use /proc/none for a run"), held_folder(Path("/proc/none")):
        pass
