"""A run's folder belongs to one run and one process, and everything in it is believed only as it was written."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys

import pytest

from sea_toolkit import api
from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.folder import held_folder, new_folder
from sea_toolkit.runs.result import Interrupted, Result
from sea_toolkit.runs.stored import StoredRun
from sea_toolkit.runs.trace import Trace
from sea_toolkit.testing.runs import left_behind, timeless
from sea_toolkit.util import run_files
from tests.helpers import hub, tiny_policy, warmth

POLICY = tiny_policy()
SETTINGS = {"sampler": "suffix-mh", "steps": 6, "chains": 2, "max_new_tokens": 6, "checkpoint_every": 2}
FILES = [run_files.RECIPE, run_files.MANIFEST, run_files.TRACE, run_files.CHECKPOINT, run_files.RESULT, run_files.ENDED]
OWN = {"warmth": (4.0, warmth)}


def align(folder, prompt="the rain", **more):
    return api.align([prompt, "a"], policy=POLICY, hub=hub(), energies=OWN, out=folder, **SETTINGS | more)


def resume(folder, **more):
    return api.resume(folder, policy=POLICY, hub=hub(), energies=OWN, **more)


def interrupted(folder, prompt="the rain", step=4, **more):
    def watch(event):
        if event.kind == "step" and event.step == step:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        align(folder, prompt, on_event=watch, on_interrupt="raise", **more)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    align(folder)
    return folder


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """Interrupted at step 4 of 6."""
    return interrupted(tmp_path_factory.mktemp("cut") / "run")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Runs with another prompt, another seed and another length, interrupted as `cut` is."""
    root = tmp_path_factory.mktemp("others")
    return [
        interrupted(root / "prompt", "the town"),
        interrupted(root / "seed", seed=1),
        interrupted(root / "longer", steps=7),
    ]


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name in FILES}


def tried(folder):
    """The results, or why there are none."""
    try:
        return resume(folder), ""
    except SeaError as error:
        return None, str(error)


def test_a_damaged_edited_or_swapped_file_is_named_or_changes_nothing(whole, cut, others, tmp_path):
    generator, expected = random.Random(0), left_behind(whole)[2:]
    refused = 0
    for case in range(60):
        folder, name = tmp_path / str(case), FILES[case % len(FILES)]
        shutil.copytree(cut, folder)
        before = (folder / name).read_bytes()
        how = ["flip", "cut", "zero", "swap", "form", "last"][case // len(FILES) % 6]
        at = generator.randrange(len(before))
        after = {
            "flip": before[:at] + bytes([before[at] ^ (1 << generator.randrange(8))]) + before[at + 1 :],
            "cut": before[:at],
            "zero": before[:at] + bytes(min(64, len(before) - at)) + before[at + 64 :],
            "swap": (generator.choice(others) / name).read_bytes(),
            "form": generator.choice([b"{}", b"[]", b"null", b"[" * 5000, b'{"step": 1}\n', b"\xff\xfe"]),
            "last": before[:-1],
        }[how]
        (folder / name).write_bytes(after)
        results, error = tried(folder)
        if results is None:
            refused += 1
            assert name in error, (name, how, error)
            assert content(folder) == content(cut) | {name: after}, "a refused folder is left as it is"
        else:
            assert left_behind(folder)[2:] == expected, (name, how)
            assert [timeless(r.to_data()) for r in results] == expected[0]
    assert refused > 48


def test_a_file_that_is_gone_is_missed_or_made_again(whole, cut, tmp_path):
    for name in FILES:
        folder = shutil.copytree(cut, tmp_path / name)
        (folder / name).unlink()
        results, error = tried(folder)
        if results is None:
            assert name in error
            assert name in (run_files.RECIPE, run_files.MANIFEST, run_files.TRACE, run_files.RESULT)
        else:
            assert left_behind(folder)[2:] == left_behind(whole)[2:]


def test_lines_of_the_trace_end_where_lines_end(tmp_path):
    """Other characters that some programs take for line ends stay in the texts, and cost no line."""
    text = "a\u2028b\u2029c\u0085d\x0b\x0c\x1c"
    first = {"step": -1, "texts": [[text]]}
    assert run_files.to_line(first).decode().splitlines() == [run_files.to_line(first).decode()[:-1]]
    assert json.loads(run_files.to_line(first)) == first
    whole, folder = tmp_path / "whole", tmp_path / "cut"
    align(whole, draft=text, max_new_tokens=20)
    interrupted(folder, draft=text, max_new_tokens=20)
    before = (folder / run_files.TRACE).read_bytes()
    resume(folder)
    after = (folder / run_files.TRACE).read_bytes()
    assert after.startswith(before[: before.rindex(b'{"step": 4')])
    assert after == (whole / run_files.TRACE).read_bytes()
    assert [json.loads(line)["step"] for line in after.split(b"\n")[:-1]] == [-1, 1, 2, 3, 4, 5, 6]


def test_half_a_line_at_the_end_is_taken_again(whole, cut, tmp_path):
    folder = shutil.copytree(cut, tmp_path / "run")
    with open(folder / run_files.TRACE, "ab") as file:
        file.write(b'{"step": 5, "samp')
    resume(folder)
    assert left_behind(folder)[2:] == left_behind(whole)[2:]


def test_a_finished_run_answers_without_a_model(whole, monkeypatch):
    def load(*args, **more):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("sea_toolkit.runs.session.Session.run", load)
    before = content(whole)
    results = api.resume(whole)
    assert content(whole) == before
    assert [r.to_data() for r in results] == json.loads(before[run_files.RESULT])
    assert results == [Result.from_data(r.to_data()) for r in results]


def test_a_length_that_is_refused_leaves_the_run_as_it_was(tmp_path):
    align(tmp_path / "run", sampler="sea", steps=2)  # its last texts are scored after the last checkpoint
    before = content(tmp_path / "run")
    with pytest.raises(RecipeError, match="has done 2 steps"):
        resume(tmp_path / "run", steps=2)
    assert content(tmp_path / "run") == before
    assert [r.steps for r in resume(tmp_path / "run")] == [2, 2]


def test_a_run_goes_on_for_longer_and_says_so(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    results = resume(folder, steps=9)
    assert [r.steps for r in results] == [9, 9]
    assert "prolonged at step 6 to 9 steps" in results[0].notes
    longer = align(tmp_path / "longer", steps=9)
    assert [r.response for r in results] == [r.response for r in longer]
    assert (folder / run_files.TRACE).read_bytes() == (tmp_path / "longer" / run_files.TRACE).read_bytes()
    assert run_files.read_sealed(folder / run_files.MANIFEST)["prolonged"] == [
        {"at_step": 6, "steps": 9, "budget": None}
    ]
    assert resume(folder)[0].steps == 9
    for wrong in ({"steps": 9}, {"steps": 3}, {"budget": 1}, {"steps": 20, "budget": 20}):
        with pytest.raises(RecipeError):
            resume(folder, **wrong)
    folder = interrupted(tmp_path / "again", steps=9)
    resume(shutil.copytree(folder, tmp_path / "b"), steps=12)
    assert StoredRun.read(tmp_path / "b").step == 12


GROWING = """
import sea_toolkit as sea

def growing(progress: float, step: int) -> float:
    return 1.0 + step

@sea.hookimpl
def sea_register_schedules(register):
    register("growing", growing, summary="a weight that never stops growing")
"""


def test_a_longer_run_with_other_weights_at_its_end_is_refused(tmp_path):
    (tmp_path / "growing.py").write_text(GROWING)
    plugins = PluginHub.discover(plugins=(), files=[tmp_path / "growing.py"])
    term = {"name": "length", "target": 4.0, "weight": {"schedule": "growing"}}
    settings = SETTINGS | {"recipe": {"energies": [{"name": "reference"}, term]}}
    api.align("a", policy=POLICY, hub=plugins, out=tmp_path / "run", **settings)
    with pytest.raises(RecipeError, match="weight of length at the end"):
        api.resume(tmp_path / "run", policy=POLICY, hub=plugins, steps=8)
    with pytest.raises(SeaError, match=r"resume .*run --plugin .*growing\.py"):
        api.resume(tmp_path / "run", policy=POLICY, hub=hub(), steps=8)


def test_an_edited_recipe_is_refused_with_the_legal_way(cut, tmp_path):
    folder = shutil.copytree(cut, tmp_path / "my run")
    text = (folder / run_files.RECIPE).read_text()
    (folder / run_files.RECIPE).write_text(text.replace('"steps": 6', '"steps": 60'))
    with pytest.raises(SeaError, match="edited") as caught:
        resume(folder)
    assert f"sea-toolkit resume '{folder}' --steps N" in str(caught.value)


def test_somebodys_files_are_left_alone(tmp_path):
    for name in (*FILES, "thesis.tex"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(SeaError, match=r"holds a run already|is not empty: it holds"):
            align(folder)
        assert [path.name for path in folder.iterdir()] == [name]
        assert (folder / name).read_text() == "mine"
    with pytest.raises(SeaError, match="cannot use"):
        align(tmp_path / "thesis.tex" / "thesis.tex")


def test_an_empty_name_is_not_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="is empty"):
        align("")
    with pytest.raises(RecipeError, match="is empty"):
        resume("")
    assert list(tmp_path.iterdir()) == []


def test_hidden_files_and_an_empty_folder_do_not_stand_in_the_way(tmp_path, monkeypatch):
    (tmp_path / ".DS_Store").write_text("")
    monkeypatch.chdir(tmp_path)
    align(".")
    assert StoredRun.read(tmp_path).status == "done"


def test_a_folder_is_claimed_before_a_model_is_loaded(tmp_path, monkeypatch):
    seen = []

    def load(self, *args, **more):
        with pytest.raises(SeaError, match=f"in use by process {os.getpid()} on "), new_folder(tmp_path / "run"):
            seen.append("two have it")
        (tmp_path / "link").symlink_to(tmp_path / "run")
        with pytest.raises(SeaError, match="in use by"), held_folder(tmp_path / "link"):
            seen.append("two have it")
        raise SeaError("loading")

    monkeypatch.setattr("sea_toolkit.runs.session.Session.run", load)
    with pytest.raises(SeaError, match="loading"):
        align(tmp_path / "run")
    assert seen == []
    monkeypatch.undo()
    align(tmp_path / "run")  # what failed before it began does not stand in the way


def test_a_living_run_is_not_resumed(tmp_path):
    refused = []

    def watch(event):
        if event.kind == "checkpoint":
            with pytest.raises(SeaError, match=f"in use by process {os.getpid()} on ") as caught:
                resume(tmp_path / "run")
            refused.append(caught.value)

    align(tmp_path / "run", on_event=watch)
    assert len(refused) == 3


def test_no_link_is_followed_to_write(cut, tmp_path):
    for name in (*FILES, ".run.lock"):
        folder, victim = tmp_path / name, tmp_path / f"victim of {name}"
        shutil.copytree(cut, folder)
        data = (folder / name).read_bytes()
        victim.write_bytes(data)
        (folder / name).unlink()
        (folder / name).symlink_to(victim)
        with pytest.raises(SeaError, match=r"symbolic link"):
            resume(folder)
        assert victim.read_bytes() == data


def test_modes_are_those_of_the_umask(tmp_path):
    for mask in (0o077, 0o002):
        before = os.umask(mask)
        try:
            folder = tmp_path / f"{mask:o}"
            align(folder)
        finally:
            os.umask(before)
        modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        assert {m for name, m in modes.items() if not name.startswith(".")} == {0o666 & ~mask}
        assert folder.stat().st_mode & 0o777 == 0o777 & ~mask


def test_what_a_killed_process_left_goes(cut, tmp_path):
    folder = shutil.copytree(cut, tmp_path / "run")
    (folder / ".sea-0123456789abcdef.tmp").write_bytes(b"half a checkpoint")
    resume(folder)
    assert not list(folder.glob(".sea-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="no limit to set")
def test_half_a_line_does_not_stay_on_a_full_disk(tmp_path):
    import resource

    trace = Trace(tmp_path)
    trace._write(1, 1.0, {})
    kept, state = (tmp_path / run_files.TRACE).read_bytes(), trace.state()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) + 10, hard))
    try:
        with pytest.raises(SeaError, match=r"cannot write .*trace.jsonl: File too large"):
            trace._write(2, 1.0, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / run_files.TRACE).read_bytes() == kept
    assert trace.state() == state
