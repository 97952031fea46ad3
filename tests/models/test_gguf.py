"""GGUF files as policies: converted once, kept under a hash of the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from sea_toolkit.errors import ModelError
from sea_toolkit.models import cache, gguf
from sea_toolkit.models.gguf import converted_gguf, gguf_in
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from tests.models.folders import loaded


def write_gguf(path):
    """A tiny Llama as llama.cpp writes it, in float32."""

    from gguf import GGUFWriter

    model, tokenizer = tiny_model("llama"), tiny_tokenizer()
    config = model.config
    writer = GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().get)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 4 + [1] * (len(tokens) - 4))
    writer.add_token_merges([" ".join(m) for m in data["model"]["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    names = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
             "post_attention_layernorm": "ffn_norm"}  # fmt: skip
    for key, weight in model.state_dict().items():
        if key.startswith("model.layers."):
            _, _, layer, rest = key.split(".", 3)
            inner = rest.removesuffix(".weight")
            if inner in ("self_attn.q_proj", "self_attn.k_proj"):  # llama.cpp's order of rotary pairs
                heads = config.num_attention_heads if "q_proj" in inner else config.num_key_value_heads
                weight = weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
            key = f"blk.{layer}.{names[inner]}.weight"
        else:
            key = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
                   "lm_head.weight": "output.weight"}[key]  # fmt: skip
        writer.add_tensor(key, weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def file(original, tmp_path, monkeypatch):
    monkeypatch.setenv("SEA_CACHE", str(tmp_path / "cache"))
    (tmp_path / "models").mkdir()
    return Path(shutil.copy(original, tmp_path / "models" / "tiny.gguf"))


def test_a_gguf_file_is_a_policy_and_is_converted_once(file, monkeypatch):
    policy, expected = loaded(file), tiny_model("llama").bfloat16().state_dict()
    assert all(torch.equal(w, expected[k].float()) for k, w in policy.model.state_dict().items())
    assert tiny_tokenizer().get_vocab().items() <= policy.tokenizer.get_vocab().items()
    monkeypatch.setattr(gguf, "gguf_to_safetensors", None)
    assert loaded(file.parent).model.name_or_path == policy.model.name_or_path


def test_a_damaged_copy_is_made_again(file):
    folder = converted_gguf(file)
    (folder / cache.WEIGHTS).write_bytes(b"cut")
    assert converted_gguf(file) == folder
    assert (folder / cache.WEIGHTS).stat().st_size > 1000


def test_a_folder_with_several_does_not_say_which(file):
    shutil.copy(file, file.with_name("other.gguf"))
    with pytest.raises(ModelError, match=r"holds 2 GGUF files[\s\S]*other\.gguf"):
        loaded(file.parent)


def test_a_damaged_gguf_file_is_told(file):
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(ModelError, match=r"cannot read the weights in tiny\.gguf"):
        loaded(file)


def test_other_models_are_no_gguf(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert gguf_in(tmp_path) is None
    assert gguf_in(tmp_path / "model.safetensors") is None
    assert gguf_in(tmp_path / "a.gguf") == tmp_path / "a.gguf"
