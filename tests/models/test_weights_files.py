"""Safetensors files: whole, cut, missing, or pointers of Git."""

from __future__ import annotations

import json

import pytest

from sea_toolkit.errors import ModelError
from sea_toolkit.models.weights_files import tensor_shapes, weights_files, whole_weights
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.models.folders import loaded

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 100000000\n"


@pytest.fixture
def sharded(tmp_path):
    tiny_model().save_pretrained(tmp_path / "m", max_shard_size="60KB")
    tiny_tokenizer().save_pretrained(tmp_path / "m")
    assert len(weights_files(tmp_path / "m")) >= 3
    return tmp_path / "m"


def test_the_header_tells_what_the_files_hold(sharded):
    expected = {name: tuple(w.shape) for name, w in tiny_model().state_dict().items()}
    assert whole_weights(sharded, "m") == {k: v for k, v in expected.items() if k in whole_weights(sharded, "m")}
    assert loaded(sharded).model.num_parameters() == tiny_model().num_parameters()


def test_every_shard_that_is_not_whole_is_named(sharded):
    first, second, third, *_ = weights_files(sharded)
    (sharded / first).unlink()
    (sharded / second).write_bytes(POINTER)
    size = (sharded / third).stat().st_size
    (sharded / third).write_bytes((sharded / third).read_bytes()[:-7])
    with pytest.raises(ModelError) as caught:
        loaded(sharded)
    said = str(caught.value)
    assert f"{first} is missing; {second} is a Git LFS pointer, not the file itself" in said
    assert f"{third} has {size - 7} bytes instead of {size}" in said
    assert "network" not in said


@pytest.mark.parametrize("file", ["tokenizer.json", "config.json"])
def test_pointers_in_place_of_small_files_are_named(sharded, file):
    (sharded / file).write_bytes(POINTER)
    with pytest.raises(ModelError, match=rf"are Git LFS pointers, not the files themselves: {file}[\s\S]*git lfs pull"):
        loaded(sharded)


def test_a_damaged_index_is_named(sharded):
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": 3}))
    with pytest.raises(ModelError, match=r"model\.safetensors\.index\.json cannot be read"):
        whole_weights(sharded, "m")


@pytest.mark.parametrize(
    ("file", "words"),
    [("tf_model.h5", "weights of TensorFlow only"), ("flax_model.msgpack", "weights of Flax only"),
     ("consolidated.00.pth", "PyTorch's own format"), ("other.safetensors", "though it holds other.safetensors")],
)  # fmt: skip
def test_other_formats_are_named(sharded, file, words):
    for path in sharded.glob("*.safetensors*"):
        path.unlink()
    (sharded / file).write_bytes(b"x")
    with pytest.raises(ModelError, match=words):
        loaded(sharded)


@pytest.mark.parametrize("content", [b"", b"1234567", b"\x02\0\0\0\0\0\0\0[]", b'\x09\0\0\0\0\0\0\0{"a": {}}'])
def test_what_is_no_header_is_told(tmp_path, content):
    (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="is no safetensors file"):
        tensor_shapes(tmp_path / "w.safetensors")
