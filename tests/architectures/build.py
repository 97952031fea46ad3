"""Every model type of transformers, tiny: its own default config with all sizes made small by name."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, PretrainedConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
)

from sea_toolkit.testing.tiny import BOS, EOS, PAD, VOCAB

HIDDEN, HEADS, LAYERS = 32, 4, 2

CAUSAL = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
CLASSIFIERS = sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)

_BY_NAME: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "emb_dim", "embedding_size", "model_dim"), HIDDEN),
    **dict.fromkeys(("word_embed_proj_dim", "lru_width", "embed_dim", "d_embed"), HIDDEN),
    **dict.fromkeys(
        ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers", "encoder_layers"), LAYERS
    ),
    **dict.fromkeys(("num_decoder_layers", "num_encoder_layers", "max_layers"), LAYERS),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), HEADS),
    **dict.fromkeys(("encoder_attention_heads", "num_decoder_attention_heads", "num_encoder_attention_heads"), HEADS),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "swa_num_key_value_heads"), HEADS // 2),
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "decoder_ffn_dim", "encoder_ffn_dim", "n_inner", "d_inner"), 2 * HIDDEN
    ),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size", "d_ff", "ffn_hidden_size"), HIDDEN),
    **dict.fromkeys(("head_dim", "qk_nope_head_dim", "v_head_dim", "d_kv", "attention_head_dim"), HIDDEN // HEADS),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(
        ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "moe_top_k", "top_k_experts"), 2
    ),
    **dict.fromkeys(("n_group", "topk_group"), 1),
    **dict.fromkeys(("vocab_size", "text_vocab_size", "decoder_vocab_size", "vocab_size_per_layer_input"), VOCAB),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length"), 128),
    **dict.fromkeys(("mamba_chunk_size", "chunk_size"), 8),
    **dict.fromkeys(("mamba_d_state", "ssm_state_size", "state_size", "rotary_dim"), 4),
    **dict.fromkeys(("mamba_num_heads", "mamba_n_heads", "n_mamba_heads"), HEADS),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "linear_num_heads"), HEADS),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim", "linear_head_dim"), HIDDEN // HEADS),
    **dict.fromkeys(("moe_shared_expert_intermediate_size", "shared_intermediate_size"), HIDDEN),
    **dict.fromkeys(("image_token_id", "video_token_id", "audio_token_id", "image_token_index"), VOCAB - 1),
    **dict.fromkeys(("boi_token_id", "eoi_token_id", "boa_token_id", "eoa_token_id"), VOCAB - 2),
    "qk_head_dim": 2 * HIDDEN // HEADS,
    "qk_rope_head_dim": HIDDEN // HEADS,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
}
_EVEN_NONE = ("head_dim", "num_key_value_heads", "moe_intermediate_size", "num_experts")

_EXPANDED = {"mamba_d_head": 2 * HIDDEN // HEADS}
_HYBRID = {"layers_block_type": ["linear_attention", "hybrid"], "attention_hidden_size": 2 * HIDDEN}
_DOTS3 = {"per_layer_config": None, "head_dim": 16, "index_head_dim": 8, "index_n_heads": 2, "index_topk": 16,
          "num_key_value_heads": HEADS}  # fmt: skip
_ROPE = {"rope_type": "default", "rope_theta": 10000.0}

SPECIAL: dict[str, dict[str, Any]] = {
    "bamba": _EXPANDED | {"attn_layer_indices": [1]},
    "blt": {"encoder_hash_byte_group_vocab": 16, "encoder_hash_byte_group_size": [3],
        "encoder_config": {"hidden_size_global": HIDDEN}, "decoder_config": {"hidden_size_global": HIDDEN}},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROPE, "sliding_attention": _ROPE}},
    "cpmant": {"dim_head": 8, "dim_ff": 2 * HIDDEN, "prompt_types": 4, "segment_types": 4},
    "ctrl": {"dff": 2 * HIDDEN},
    "dbrx": {"attn_config": {"rope_theta": 10000.0, "kv_n_heads": 2, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": HIDDEN}},
    "deepseek_v2": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "first_k_dense_replace": 1, "n_shared_experts": 1},
    "dots3_note_text": _DOTS3,
    "dots3_note": {"text_config": _DOTS3},
    "esm": {"vocab_size": VOCAB, "pad_token_id": PAD, "mask_token_id": 3},
    "esmc": {"num_key_value_heads": HEADS},
    "falcon_h1": {"mamba_d_ssm": 2 * HIDDEN, "mamba_d_head": 2 * HIDDEN // HEADS},
    "gemma3n_text": {"num_kv_shared_layers": 0, "hidden_size_per_layer_input": 8, "laurel_rank": 4,
        "activation_sparsity_pattern": None},
    "gemma4": {"text_config": {"hidden_size_per_layer_input": 0}},
    "gemma4_text": {"hidden_size_per_layer_input": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "attention_layers": ["global", "local"]},
    "granitemoehybrid": _EXPANDED | {"layer_types": ["linear_attention", "full_attention"]},
    "inkling2_text": {"unpadded_vocab_size": VOCAB, "swa_num_attention_heads": HEADS, "swa_head_dim": 8,
        "d_rel": 4, "rel_extent": 16},
    "inkling2_loop_text": {"unpadded_vocab_size": VOCAB, "swa_num_attention_heads": HEADS, "swa_head_dim": 8,
        "d_rel": 4, "rel_extent": 16, "n_layers_per_attn_res_block": 1, "loop_layer_index_start": 1,
        "loop_layer_index_end": 2, "loop_gate_rank": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4, "use_mamba_kernels": False},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"zero_expert_num": 2, "expert_ffn_hidden_size": HIDDEN},
    "longformer": {"attention_window": 8},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 8},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1},
    "markuplm": {"max_xpath_tag_unit_embeddings": 8, "max_xpath_subs_unit_embeddings": 8, "max_depth": 2,
        "tag_pad_id": 7, "subs_pad_id": 7},
    "nemotron_h": {"mamba_head_dim": 2 * HIDDEN // HEADS, "n_groups": 1},
    "perceiver": {"num_latents": 4, "d_latents": HIDDEN, "num_self_attends_per_block": 1},
    "recurrent_gemma": {"num_hidden_layers": 3, "attention_window_size": 16},
    "qwen4_exp_text": {"indexer_compress_ratio": 4, "indexer_budget": 8, "ple_layer_ids": [], "hc_count": 2,
        "hc_lowrank": 8, "ngram_vocab_size_base": 64},
    "reformer": {"is_decoder": True, "axial_pos_shape": (8, 16), "axial_pos_embds_dim": (16, 16),
        "feed_forward_size": 64, "attention_head_size": 8, "attn_layers": ("local", "local"),
        "local_attn_chunk_length": 8},
    "t5": {"decoder_start_token_id": PAD},
    "roc_bert": {"pronunciation_vocab_size": 8, "shape_vocab_size": 8, "pronunciation_embed_dim": 8,
        "shape_embed_dim": 8},
    "zamba": {"num_hidden_layers": 4, **_HYBRID, "layers_block_type": ["linear_attention", "hybrid"] * 2,
        "mamba_dt_rank": 4, "attention_head_dim": 16, "n_mamba_heads": 2},
    "zamba2": {"num_hidden_layers": 2, **_HYBRID, "mamba_headdim": 16, "hybrid_layer_ids": [1], "adapter_rank": 4},
    "xlstm": {"hidden_size": 128, "embedding_dim": 128, "chunk_size": 64},
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 16},
}  # fmt: skip


def small_config(model_type: str, **special: Any) -> PretrainedConfig:
    """The default config with small sizes; layers of each kind that the default has."""
    default = AutoConfig.for_model(model_type)
    return AutoConfig.for_model(model_type, **_merged(_sizes(vars(default)), special))


def _merged(sizes: dict[str, Any], special: dict[str, Any]) -> dict[str, Any]:
    inner = {
        k: _merged(sizes[k], v) for k, v in special.items() if isinstance(v, dict) and isinstance(sizes.get(k), dict)
    }
    return sizes | special | inner


def _sizes(known: dict[str, Any]) -> dict[str, Any]:
    sizes: dict[str, Any] = {}
    for name, size in _BY_NAME.items():
        value = known.get(name, False)
        if (isinstance(value, int) and not isinstance(value, bool)) or (value is None and name in _EVEN_NONE):
            sizes[name] = size
    for name, value in known.items():
        if isinstance(value, PretrainedConfig):
            sizes[name] = _sizes(vars(value))
        elif name in ("pad_token_id", "bos_token_id", "eos_token_id") and value is not None:
            sizes[name] = {"pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}[name]
    if "kv_lora_rank" in known:
        sizes["num_key_value_heads"] = HEADS
    kinds = list(dict.fromkeys(known.get("layer_types") or []))
    if kinds:
        layers = (kinds * LAYERS)[: max(LAYERS, len(kinds))]
        sizes["layer_types"] = layers
        sizes |= {name: len(layers) for name in ("num_hidden_layers", "n_layer", "num_layers") if name in sizes}
    return sizes


def small_model(model_type: str, loader: Any, seed: int = 0, **options: Any) -> Any:
    """A random model of the type, float32, in eval mode; weights large enough for wrong positions to show."""
    config = small_config(model_type, **(SPECIAL.get(model_type, {}) | options))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = loader.from_config(config, dtype=torch.float32).eval()
        for parameter in model.parameters():
            if parameter.ndim > 1 or not parameter.any():  # a gate or a scale of zeros would shut off what it scales
                torch.nn.init.normal_(parameter, std=0.15)
    return model
