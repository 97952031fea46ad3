"""A run in one piece and a run that stopped, was interrupted or was killed give the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import cache

import pytest
import torch

from sea_toolkit import api
from sea_toolkit.errors import SeaError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.registry.records import CORE
from sea_toolkit.runs.result import Interrupted
from sea_toolkit.testing.runs import left_behind
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from sea_toolkit.util import run_files
from sea_toolkit.util.files import SCRATCH
from tests.cli.commands import invoke
from tests.helpers import PROMPTS, hub, run_for, tiny_policy, warmth

SAMPLERS = [i.name for i in hub().items("sampler")]
OWN = {"warmth": (4.0, warmth)}


def assert_same(one, two):
    tensors, facts, result, trace = left_behind(one)
    tensors2, facts2, result2, trace2 = left_behind(two)
    assert tensors.keys() == tensors2.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, tensors2[name]), name
    assert facts == facts2
    assert result == result2
    assert trace == trace2


def settings_of(sampler):
    # sea with noise that matters and looks every other step, so that a stop falls between two looks
    options = {
        "sea": {"name": "sea", "check_every": 2, "temperature": 1.0, "step_size": 0.5},
        "smc": {"name": "smc", "particles": 4, "chunk": 4},
        "chunk-beam": {"name": "chunk-beam", "chunk": 4},
    }
    return {"sampler": options.get(sampler, sampler), "steps": 7}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Sampler to the folder of its run in one piece, which is made once."""

    @cache
    def folder_of(sampler):
        folder = tmp_path_factory.mktemp("whole")
        run_for(folder, **settings_of(sampler)).execute()
        return folder

    return folder_of


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_run_that_is_resumed_equals_one_in_one_piece(sampler, whole, tmp_path):
    settings = settings_of(sampler)
    folder = tmp_path / "cut"
    run_for(folder, stop_after=3, **settings).execute()
    again = run_for(folder, **settings)
    again.resume()
    assert again.step == 3
    again.execute()
    assert_same(whole(sampler), folder)


@pytest.mark.parametrize("what", ["weight", "tolerance"])
@pytest.mark.parametrize("sampler", ["best-of-n", "suffix-mh", "tilted", "tilted-exact", "discrete-langevin", "mala"])
def test_energies_on_a_schedule_resume_too(sampler, what, tmp_path):
    term = {"name": "length", "target": 4.0, what: {"schedule": "linear", "start": 0.5, "end": 3.0}}
    settings = {"sampler": sampler, "steps": 5, "recipe": {"energies": [{"name": "reference"}, term]}}
    run_for(tmp_path / "whole", **settings).execute()
    run_for(tmp_path / "cut", stop_after=2, **settings).execute()
    again = run_for(tmp_path / "cut", **settings)
    again.resume()
    again.execute()
    assert_same(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_budget_is_counted_on_after_a_resume(sampler, tmp_path):
    budget = {"sampler": settings_of(sampler)["sampler"], "budget": 100 if sampler == "sea-adam" else 30}
    whole = run_for(tmp_path / "whole", **budget)
    whole.execute()
    run_for(tmp_path / "cut", stop_after=1, **budget).execute()
    again = run_for(tmp_path / "cut", **budget)
    again.resume()
    again.execute()
    assert_same(tmp_path / "whole", tmp_path / "cut")
    assert whole.step > 1


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_finished_run_can_be_resumed_and_stays_as_it_is(sampler, whole, tmp_path):
    folder = shutil.copytree(whole(sampler), tmp_path / "finished")
    again = run_for(folder, **settings_of(sampler))
    again.resume()
    again.execute()
    assert_same(whole(sampler), folder)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("depth", ["event", "reading"])
def test_an_interrupted_run_resumes_to_the_same_bytes(sampler, depth, whole, tmp_path, monkeypatch):
    settings = settings_of(sampler)
    calls = {"n": 0}

    def once():
        calls["n"] += 1
        if calls["n"] == 1:
            raise KeyboardInterrupt

    run = run_for(tmp_path, **settings)
    if depth == "event":
        run.on_event = lambda e: once() if e.kind == "step" and e.step == 4 else None
    else:  # in the middle of a step, when the streams have moved already
        plain = Problem.score_as_text

        def interrupted(*args, **more):
            if run.step >= 3:
                once()
            return plain(*args, **more)

        monkeypatch.setattr(Problem, "score_as_text", interrupted)
    with pytest.raises(Interrupted) as error:
        run.execute()
    assert calls["n"] == 1
    assert [r.status for r in error.value.results] == ["interrupted"] * 2
    assert [r.prompt for r in error.value.results] == list(PROMPTS[:2])
    written = json.loads((tmp_path / run_files.RESULT).read_text())
    assert [r["status"] for r in written] == ["interrupted"] * 2
    again = run_for(tmp_path, **settings)
    again.resume()
    assert 3 <= again.step <= 7
    again.execute()
    assert_same(whole(sampler), tmp_path)


def test_an_interrupt_before_the_first_text_has_nothing_to_write(tmp_path, monkeypatch):
    run = run_for(tmp_path, **settings_of("sea"))

    def interrupted(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(Problem, "start", interrupted)
    with pytest.raises(KeyboardInterrupt) as error:
        run.execute()
    assert not isinstance(error.value, Interrupted)
    assert not (tmp_path / run_files.RESULT).exists()
    assert not run.can_resume


# Models are imported once; then a child of its own for each run. The last step never ends by itself: the kill comes
# before the result, however late it is.
WORKER = """
import json, os, sys, time
from sea_toolkit import api
from sea_toolkit.registry.hub import PluginHub
import sea_toolkit.runs.session, sea_toolkit.samplers.sea_adam, sea_toolkit.samplers.tilted

hub = PluginHub.discover(plugins=())
for line in sys.stdin:
    folder, recipe = json.loads(line)
    child = os.fork()
    if child:
        print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    print("pid", os.getpid(), flush=True)

    def watch(event):
        print(event.kind, event.step, flush=True)
        if event.kind == "step" and event.step == 14:
            time.sleep(600)

    api.align(["the rain", "a"], recipe=recipe, out=folder, checkpoint_every=2, hub=hub, on_event=watch)
"""


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def worker():
    """A process that starts a run for each line `[folder, recipe]`, and tells its process and its events."""
    if sys.platform == "win32":
        pytest.skip("a process is not forked here")
    env = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", WORKER]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


def recipe_of(model, sampler):
    return {
        "policy": {"model": str(model)},
        "sampler": {"name": sampler, "steps": 14, "chains": 2},
        "max_new_tokens": 10,
        "energies": [{"name": "reference"}, {"name": "length", "target": 4.0}],
    }


@pytest.mark.parametrize(("sampler", "moment"), [("tilted", "checkpoint"), ("sea-adam", "random")])
def test_a_killed_run_resumes_from_its_last_checkpoint(sampler, moment, tmp_path, saved_model, worker, monkeypatch):
    monkeypatch.setenv("SEA_PLUGINS", "")
    recipe = recipe_of(saved_model, sampler)
    api.align(["the rain", "a"], recipe=recipe, out=tmp_path / "whole", checkpoint_every=2, hub=hub())
    worker.stdin.write(json.dumps([str(tmp_path / "cut"), recipe]) + "\n")
    worker.stdin.flush()
    child = int(worker.stdout.readline().removeprefix("pid"))
    wait_for = {"checkpoint": "checkpoint 4", "random": "step 3"}[moment]
    assert any(line.strip() == wait_for for line in worker.stdout)
    if moment == "random":
        time.sleep(random.Random(time.time_ns()).uniform(0, 0.15))
    os.kill(child, signal.SIGKILL)
    assert any(line.strip() == f"ended {-signal.SIGKILL}" for line in worker.stdout)
    assert not (tmp_path / "cut" / run_files.RESULT).exists()
    if sampler == "tilted":
        done = invoke("resume", tmp_path / "cut", "--json")
        assert done.exit_code == 0, done.output
    else:
        api.resume(tmp_path / "cut", hub=hub())
    assert_same(tmp_path / "whole", tmp_path / "cut")
    assert not list((tmp_path / "cut").glob(SCRATCH))


def test_a_run_killed_in_random_places_still_resumes(tmp_path, monkeypatch):
    """The process dies between two writes, wherever that is: simulated by an exception nothing catches."""

    class Killed(BaseException):
        pass

    settings = settings_of("sea") | {"checkpoint_every": 2}
    run_for(tmp_path / "whole", **settings).execute()
    generator = random.Random(0)
    for i in range(6):
        folder, left = tmp_path / f"cut{i}", generator.randint(2, 20)
        run = run_for(folder, **settings)

        def count(plain, left=[left]):  # noqa: B006
            def counted(*args, **more):
                left[0] -= 1
                if left[0] == 0:
                    raise Killed
                return plain(*args, **more)

            return counted

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", count(os.replace))
            patch.setattr(run.trace, "_put", count(run.trace._put))
            patch.setattr(json, "dumps", count(json.dumps))
            try:
                run.execute()
            except (Killed, SeaError):  # where a sampler's state is saved, it is said to be the sampler's failure
                pass
            else:
                pytest.fail("the run should have been killed")
        again = run_for(folder, **settings)
        if again.can_resume:
            again.resume()
        else:
            (folder / run_files.TRACE).unlink(missing_ok=True)
        again.execute()
        assert_same(tmp_path / "whole", folder)


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_full_disk_leaves_the_old_checkpoint(failing, tmp_path, monkeypatch):
    settings = settings_of("sea")
    run_for(tmp_path, stop_after=3, **settings).execute()
    before = (tmp_path / run_files.CHECKPOINT).read_bytes()
    again = run_for(tmp_path, **settings)
    again.resume()

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        with pytest.raises(SeaError, match="No space left on device"):
            again.execute()
    assert (tmp_path / run_files.CHECKPOINT).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []
    last = run_for(tmp_path, **settings)
    last.resume()
    assert last.step == 3


def test_a_damaged_checkpoint_is_refused(tmp_path):
    run_for(tmp_path, **settings_of("sea")).execute()
    file = tmp_path / run_files.CHECKPOINT
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(SeaError, match="damaged"):
        run_for(tmp_path, **settings_of("sea")).resume()


def test_a_checkpoint_of_another_sampler_is_refused(tmp_path):
    run_for(tmp_path, **settings_of("sea")).execute()
    with pytest.raises(SeaError, match="of a run with another recipe"):
        run_for(tmp_path, **settings_of("best-of-n")).resume()


def stop_at(step):
    """Watches a run, and interrupts it there."""

    def watch(event):
        if event.kind == "step" and event.step == step:
            raise KeyboardInterrupt

    return watch


def align(folder, **more):
    """A run that is interrupted at step 2 of 4."""
    with pytest.raises(Interrupted):
        api.align(
            list(PROMPTS[:2]), policy=tiny_policy(), hub=hub(), energies=OWN, out=folder, sampler="sea", steps=4,
            chains=2, max_new_tokens=8, checkpoint_every=2, on_event=stop_at(2), on_interrupt="raise", **more,
        )  # fmt: skip


def test_other_versions_are_refused_with_the_difference_and_forced_on_record(tmp_path):
    align(tmp_path)
    file = tmp_path / run_files.MANIFEST
    manifest = run_files.read_sealed(file)
    manifest["identity"]["plugins"][f"{CORE}:sea"]["version"] = "0.0.9"
    manifest["identity"]["models"]["policy"] = "f" * 64
    run_files.write_sealed(file, manifest)
    with pytest.raises(SeaError) as error:
        api.resume(tmp_path, policy=tiny_policy(), hub=hub(), energies=OWN)
    assert f"plugins.{CORE}:sea.version: 0.0.9 then" in str(error.value)
    assert "models.policy: ffffffffffff… then" in str(error.value)
    assert "--force" in str(error.value)
    results = api.resume(tmp_path, policy=tiny_policy(), hub=hub(), energies=OWN, force=True)
    assert any("0.0.9" in note for note in results[0].notes)
    recorded = json.loads(file.read_text())["forced"]
    assert recorded[0]["at_step"] == 2
    assert len(recorded[0]["changed"]) == 2


def test_another_policy_is_another_model(tmp_path):
    align(tmp_path)
    with pytest.raises(SeaError, match=r"models\.policy"):
        api.resume(tmp_path, policy=tiny_policy("mistral"), hub=hub(), energies=OWN)


def test_own_terms_must_come_again(tmp_path):
    align(tmp_path)
    heavier = {label: (2 * weight, energy) for label, (weight, energy) in OWN.items()}
    for energies in (None, heavier):
        with pytest.raises(SeaError, match="terms of its own"):
            api.resume(tmp_path, policy=tiny_policy(), hub=hub(), energies=energies)


def test_a_folder_is_used_once(tmp_path):
    align(tmp_path)
    with pytest.raises(SeaError, match="holds a run already"):
        align(tmp_path)


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(SeaError, match="cannot read"):
        api.resume(tmp_path, hub=hub())


def dated(tmp_path, text="{{ strftime_now('%Y') }} "):
    """A policy's folder whose template says the year."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = text + tokenizer.chat_template
    tiny_model("llama").save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def test_a_resumed_run_reads_the_date_that_it_began_with(tmp_path, monkeypatch):
    import sea_toolkit.lm.template as template

    class Past(template.Date):
        @classmethod
        def today(cls):
            return cls(2001, 2, 3)

    model, out = dated(tmp_path), tmp_path / "out"
    settings = {"energies": OWN, "sampler": "best-of-n", "steps": 2, "max_new_tokens": 6, "model": model, "hub": hub()}
    with monkeypatch.context() as then:
        then.setattr(template, "Date", Past)
        first = api.align("the rain", **settings)
        with pytest.raises(Interrupted):
            api.align("the rain", out=out, on_event=stop_at(1), on_interrupt="raise", **settings)
    saved = run_files.read_json(out / run_files.RECIPE)
    assert saved["recipe"]["policy"]["date"] == "2001-02-03"
    again = api.resume(out, energies=OWN, hub=hub())[0]
    assert again.response == first.response
    identity = run_files.read_json(out / run_files.MANIFEST)["identity"]
    assert identity["reading"]["date"] == "2001-02-03"


@pytest.mark.parametrize("changed", ["template", "prompts", "tokenizer"])
def test_a_run_is_not_resumed_with_another_reading_of_its_prompts(changed, tmp_path):
    model, out = dated(tmp_path, ""), tmp_path / "out"
    settings = {"energies": OWN, "sampler": "best-of-n", "steps": 2, "max_new_tokens": 6, "model": model, "hub": hub()}
    with pytest.raises(Interrupted):
        api.align("the rain", out=out, on_event=stop_at(1), on_interrupt="raise", **settings)
    if changed == "tokenizer":
        path = tmp_path / "model" / "tokenizer.json"
        data = json.loads(path.read_text())
        data["model"]["merges"].pop()
        path.write_text(json.dumps(data))
    else:
        dated(tmp_path, "Answer! " if changed == "prompts" else "{# a comment #}")
    with pytest.raises(SeaError, match=f"reading.{changed}"):
        api.resume(out, energies=OWN, hub=hub())
