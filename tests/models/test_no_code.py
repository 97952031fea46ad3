"""Other roads on which the files of a model or of the working folder could run code; nothing asks on a terminal."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from sea_toolkit.errors import ModelError
from sea_toolkit.models.adapters import adapter_in
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.models.wheel import pip_command
from tests.models.folders import edit_config, loaded, save_policy
from tests.models.test_gguf import write_gguf


@pytest.fixture(autouse=True)
def no_questions(monkeypatch):
    asked = []
    monkeypatch.setattr("builtins.input", lambda text="": asked.append(text) or "n")
    yield
    assert not asked


def with_tokenizer_code(folder, ran):
    """A folder whose tokenizer has code of its own."""
    (folder / "own.py").write_text(f"open({str(ran)!r}, 'a').write('x')\n")
    edit_config(folder, "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", None]})
    return folder


def test_the_code_of_a_tokenizer(tmp_path):
    folder = with_tokenizer_code(save_policy(tmp_path / "m"), tmp_path / "ran")
    edit_config(folder, model_type="own_kind", auto_map={"AutoConfig": "own.OwnConfig"})
    with pytest.raises(ModelError, match="Python code of its own"):
        read_tokenizer(folder, "m")
    assert not (tmp_path / "ran").exists()


def test_the_code_of_a_tokenizer_beside_a_gguf_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SEA_CACHE", str(tmp_path / "cache"))
    folder = with_tokenizer_code(save_policy(tmp_path / "m"), tmp_path / "ran")
    (folder / "model.safetensors").unlink()
    write_gguf(folder / "m.gguf")
    with pytest.raises(ModelError, match=r"m\.gguf"):
        loaded(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "entries",
    [
        {"attn_implementation": "somebody/kernel"},
        {"_attn_implementation": {"": "somebody/kernel@v1"}},
        {"text_config": {"attn_implementation": "somebody/kernel:function"}},
        {"experts_implementation": "somebody/kernel"},
    ],
)
def test_a_kernel_of_the_hub_that_a_config_names(tmp_path, entries):
    folder = save_policy(tmp_path / "m")
    edit_config(folder, **entries)
    with pytest.raises(ModelError, match=r"asks for code of the Hugging Face hub: .*somebody/kernel"):
        loaded(folder)


def test_a_module_that_an_adapter_names(tmp_path):
    folder = save_policy(tmp_path / "lora")
    (folder / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "x/y", "megatron_config": {"a": 1}, "megatron_core": "evil"}'
    )
    with pytest.raises(ModelError, match="import the module 'evil'"):
        adapter_in(folder, "lora")


def test_the_working_folder_is_no_place_for_modules_of_a_subprocess(tmp_path, monkeypatch):
    (tmp_path / "pip.py").write_text("open('ran', 'w').write('x')")
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([*pip_command(), "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("pip ")
    assert not (tmp_path / "ran").exists()


def test_a_pip_of_the_working_folder_is_none(tmp_path, monkeypatch):
    (tmp_path / "pip3").write_text("#!/bin/sh\n")
    (tmp_path / "pip3").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", ".")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert shutil.which("pip3") is not None
    assert pip_command() is None
