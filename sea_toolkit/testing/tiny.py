"""Tiny random models and a tokenizer built in code, so that tests download nothing and run in milliseconds.

    model, tokenizer = tiny_model("llama"), tiny_tokenizer()      # both with a vocabulary of 128
    policy, reward = tiny_policy(), tiny_reward()

Token ids: 0 `<pad>`, 1 `<bos>`, 2 `<eos>`, 3 `<unk>`. The tokenizer is a byte-level BPE over ASCII with a few
merges, so that decoding a random id sequence and encoding it again may give other ids, as with real ones.
"""

from __future__ import annotations

import copy
import string
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.core.torch_state import own_torch_state, same_random_stream
from sea_toolkit.errors import SeaError
from sea_toolkit.lm.policy import Policy, Template
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy

HIDDEN, LAYERS, HEADS, VOCAB = 32, 4, 4, 128
PAD, BOS, EOS, UNK = range(4)

ARCHITECTURES = (
    "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3", "gpt2", "gpt_neox", "phi3", "olmo2",
)  # fmt: skip

_MODEL_TYPE = {"gemma3": "gemma3_text"}
_EXTRA: dict[str, dict[str, Any]] = {
    "mistral": {"sliding_window": None},
    "qwen3": {"head_dim": HIDDEN // HEADS},
    "gemma": {"head_dim": HIDDEN // HEADS},
    "gemma2": {"head_dim": HIDDEN // HEADS, "query_pre_attn_scalar": HIDDEN // HEADS, "sliding_window": 16},
    "gemma3": {"head_dim": HIDDEN // HEADS, "query_pre_attn_scalar": HIDDEN // HEADS, "sliding_window": 16},
}

CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<eos>{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
_MERGES = "t h,th e,Ġ th,i n,a n,Ġ a,e r,o n,r e,o r,e n,Ġ i,Ġ s,Ġ w,an d,i t,e s,o u,Ġ b,Ġ o,e d,i s,in g,Ġ m,a t"


def tiny_config(arch: str, vocab: int = VOCAB, **overrides: Any) -> PretrainedConfig:
    """Config of a causal LM of the architecture `arch` with hidden size 32, 4 layers and 4 heads."""
    common: dict[str, Any] = {
        "vocab_size": vocab,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": PAD,
    }
    if arch == "gpt2":
        sizes: dict[str, Any] = {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 512}
        sizes |= {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    else:
        sizes = {
            "hidden_size": HIDDEN,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "intermediate_size": 2 * HIDDEN,
            "max_position_embeddings": 512,
        }
        if arch != "gpt_neox":
            sizes["num_key_value_heads"] = HEADS // 2
    return AutoConfig.for_model(_MODEL_TYPE.get(arch, arch), **(common | sizes | _EXTRA.get(arch, {}) | overrides))


@own_torch_state()
def tiny_model(arch: str = "llama", vocab: int = VOCAB, seed: int = 0, **overrides: Any) -> PreTrainedModel:
    """A random causal LM in float32 and eval mode; the global random stream is left as it was.

    Weights are drawn with a standard deviation of 0.15 rather than 0.02, so that the model's distributions
    are not almost uniform and a wrong position or a wrong mask shows in its logits.
    """
    with same_random_stream():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            tiny_config(arch, vocab, **({"initializer_range": 0.15} | overrides)), dtype=torch.float32
        )
    return model.eval()


@lru_cache(maxsize=8)
def _tokenizer_json(vocab: int) -> str:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = "Ġ" + string.ascii_lowercase + ".,!?'-:Ċ" + string.digits + string.ascii_uppercase
    alphabet += "".join(c for c in map(chr, range(33, 127)) if c not in alphabet)
    if vocab < 40:
        raise SeaError(f"a tiny tokenizer of {vocab} tokens", expected="40 at least")
    tokens = ["<pad>", "<bos>", "<eos>", "<unk>", *alphabet][:vocab]
    merges = []
    for merge in _MERGES.split(","):
        left, right = merge.split()
        if len(tokens) < vocab:
            merges.append((left, right))
            tokens.append(left + right)
    tokens += [f"<extra{i}>" for i in range(vocab - len(tokens))]
    model = models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges, unk_token="<unk>")
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True) for t in tokens[:4]])
    return str(tokenizer.to_str())


def tiny_tokenizer(vocab: int = VOCAB) -> PreTrainedTokenizerFast:
    """A fast tokenizer with exactly `vocab` tokens, bos / eos / pad / unk and a small chat template."""
    from tokenizers import Tokenizer

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_tokenizer_json(vocab)),
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=512,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


@lru_cache(maxsize=16)
def tiny_policy(arch: str = "llama") -> Policy:
    """A policy with a tiny random model, the same object each time; treat it as read-only."""
    return Policy(tiny_model(arch), tiny_tokenizer(), name=f"tiny-{arch}")


def converted(policy: Policy, dtype: torch.dtype | None = None, device: str | None = None) -> Policy:
    """A copy of a policy in another dtype or on another device."""
    model = copy.deepcopy(policy.model).to(device=device, dtype=dtype)
    return Policy(model, policy.tokenizer, name=policy.name, template=cast(Template, policy.template))


class TinyReward(Energy):
    """A reward that reads token embeddings: smooth, not linear in the tokens, dependent on their order, of any policy.

    `sea.align(…, policy=tiny_policy(), energies={"reward": (4.0, tiny_reward())})`.

    Args:
        seed: another seed gives another reward.
    """

    def __init__(self, *, seed: int = 5) -> None:
        self.seed = seed

    def bind(self, context: Context) -> BoundEnergy:
        """For the policy of the context."""
        return BoundEnergy(energy=TinyCost(context.policy.table, self.seed).energy, is_reward=True)


class TinyCost:
    """Minus the reward `−Σ_t out · tanh(mix · Σ_{s ≤ t} e_s)`, over the tokens before the end of text."""

    def __init__(self, table: Tensor, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        self.table = table
        self.mix = (torch.randn(table.shape[1], 6, generator=g) * 0.7).to(table.device)
        self.out = torch.randn(6, generator=g).to(table.device)

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Of responses."""
        content = response.content.float()[..., None]
        seen = (response.embed(self.table).float() * content).cumsum(2)
        return ((torch.tanh(seen @ self.mix) @ self.out) * content[..., 0]).sum(-1)

    def of(self, ids: Sequence[int]) -> float:
        """The same, written down again for the ids before the end of text."""
        seen, total = torch.zeros(self.table.shape[1]), 0.0
        for i in ids:
            seen = seen + self.table[i]
            total += float(torch.tanh(seen @ self.mix) @ self.out)
        return total


def tiny_reward(seed: int = 5) -> TinyReward:
    """A reward for tests, as an object that stands where an energy stands."""
    return TinyReward(seed=seed)
