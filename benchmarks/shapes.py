"""Models to measure: SmolLM2 with its weights, or Llama shapes filled with random numbers (no network needed)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from sea_toolkit.lm.fingerprint import model_facts, state_sample
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.truncate import truncate
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_policy
from sea_toolkit.models.policy_spec import PolicySpec
from sea_toolkit.readers.probe import Probe, ProbeInfo
from sea_toolkit.readers.probe_head import ProbeHead
from sea_toolkit.readers.probe_reader import PolicyView
from sea_toolkit.registry.hub import PluginHub

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "vocab_size": 512,
        "hidden_size": 32,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        "vocab_size": 128256,
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
    },
    "llama-3-8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
    },
}
NAMES = ("smollm2-135m", *SHAPES)
PROBE_DEPTH = 14 / 30
"""The sentiment probe sits on block 14 of 30."""


def build_policy(shape: str, device: str, dtype: str, hub: PluginHub) -> Policy:
    """The policy of a shape; random weights come from seed 0."""
    if shape not in SHAPES:
        return load_policy(PolicySpec(model=shape, device=device, dtype=dtype), ModelFinder(hub))  # type: ignore[arg-type]
    from transformers import AutoModelForCausalLM

    config = _config(shape)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=getattr(torch, dtype))
    return Policy(model, _word_tokenizer(config.vocab_size), name=shape, template="plain")


def build_classifier(shape: str, dtype: str, folder: Path) -> None:
    """Write a random reward model of a shape, with one output, beside the tokenizer of the policies of that shape."""
    from transformers import AutoModelForSequenceClassification

    config = _config(shape, num_labels=1, pad_token_id=1)
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_config(config, dtype=getattr(torch, dtype))
    model.save_pretrained(folder)
    _word_tokenizer(config.vocab_size).save_pretrained(folder)


def _config(shape: str, **more: Any) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(**SHAPES[shape], max_position_embeddings=8192, bos_token_id=0, eos_token_id=1, **more)


def _word_tokenizer(size: int) -> Any:
    """`size` words `w2 w3 …`, so that decoding and tokenizing again gives the same ids."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<bos>": 0, "<eos>": 1} | {f"w{i}": i for i in range(2, size)}
    core = Tokenizer(models.WordLevel(words, unk_token="<bos>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<bos>", eos_token="<eos>", pad_token="<eos>")


def default_prompt(shape: str) -> str:
    """A question as a person asks it, or as many tokens of the stand-in tokenizer."""
    if shape in SHAPES:
        return " ".join(f"w{2 + 7 * i % 500}" for i in range(53))
    return (
        "Write a short review of the film I saw last night: a slow drama about two brothers who inherit a lighthouse."
    )


def find_probe(policy: Policy, hub: PluginHub, folder: Path) -> tuple[str, str]:
    """The recipe's name for the reward and a description: the shipped sentiment probe, or a random one."""
    import sea_toolkit

    shipped = Path(sea_toolkit.__file__).parent / "models" / "probes" / "sentiment.safetensors"
    mine = model_facts(policy.model, policy.tokenizer, policy.name)
    if shipped.exists() and PolicyView(Probe.load(shipped), policy).view is not None:
        return str(shipped), "the sentiment probe"
    layer = max(1, round(PROBE_DEPTH * mine.layers))
    info = ProbeInfo("random", mine.name, mine.model_type, mine.hidden_size, mine.layers, mine.vocabulary, layer, 0.5)
    weight = torch.randn(mine.hidden_size, generator=torch.Generator().manual_seed(0)) * 0.05
    path = folder / "random.safetensors"
    sample = state_sample(truncate(policy.model, layer), policy.tokenizer, policy.device)
    Probe(ProbeHead(weight, torch.zeros(())), sample, info).save(path)
    return str(path), f"a random probe of block {layer} of {mine.layers}"
