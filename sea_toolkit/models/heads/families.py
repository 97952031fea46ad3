"""The families of reward models whose head is their own: where it is in the checkpoint, and how it is read.

A checkpoint of such a family is a language model's body and a few tensors more. Each row says which tensors these are,
at which token they are read, and what is made of them. A new family is a new row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from sea_toolkit.models.heads import internlm2

ReadAt = Literal["end", "before padding", "read-out token"]
"""The last token that is shown; the last one that is no padding token (where transformers reads, which matters to a
model whose turns end with its padding token); a token of the model's own that is put behind the text."""

Activation = Literal["none", "relu"]
Combine = Literal["none", "gating"]


@dataclass(frozen=True)
class HeadForm:
    """How a family makes rewards of hidden states.

    Attributes:
        whose: the models, for people.
        source: where its forward pass is published.
        tensors: module of the head in the checkpoint. The layers of a deep one are numbered: `score.0`, `score.2`.
        architectures: names in the config that tell the family; empty where the tensors do.
        activation: between the layers.
        read_at: the token whose hidden state is read.
        combine: "gating" weighs the outputs by a second network, `gating.layers`, which reads the token that ends the
            prompt; each output may be a mean of quantiles.
        gate_at: for gating, by model type: the text at whose first token, where it stands last, that network reads.
        normalize: module of the running mean and variance of the outputs, if the config says `do_normalize`.
        frame: a conversation as the family writes it, in Jinja, for tokenizers without a chat template; the tokenizer's
            own special tokens come around it.
    """

    whose: str
    source: str
    tensors: str
    architectures: tuple[str, ...] = ()
    activation: Activation = "none"
    read_at: ReadAt = "end"
    combine: Combine = "none"
    gate_at: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    normalize: str | None = None
    frame: str | None = None


def _turns(user: str, assistant: str, start: str = "") -> str:
    """A frame that writes each turn in one way."""
    return (
        start
        + "{% for m in messages %}{% if m['role'] == 'assistant' %}"
        + assistant.replace("TEXT", "{{ m['content'] }}")
        + "{% else %}"
        + user.replace("TEXT", "{{ m['content'] }}")
        + "{% endif %}{% endfor %}"
    )


_PROMPT_END = MappingProxyType(
    {
        "llama": "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
        "gemma2": "<end_of_turn>\n<start_of_turn>model\n",
    }
)
"""RLHFlow/RLHF-Reward-Modeling, armo-rm: `token_patterns`."""

FORMS = (
    HeadForm(
        "ArmoRM, QRM",
        "RLHFlow/RLHF-Reward-Modeling, LlamaForRewardModelWithGating; allenai/reward-bench, models/qrm.py",
        tensors="regression_layer",
        read_at="before padding",
        combine="gating",
        gate_at=_PROMPT_END,
    ),
    HeadForm(
        "Qwen2.5-Math-RM, INF-ORM",
        "Qwen/Qwen2.5-Math-RM-72B, Qwen2ForRewardModel; allenai/reward-bench, models/inform.py",
        tensors="score",
        activation="relu",
        read_at="before padding",
    ),
    HeadForm(
        "GRM; value heads of TRL",
        "allenai/reward-bench, models/grm.py: ValueHead; huggingface/trl, AutoModelForCausalLMWithValueHead",
        tensors="v_head.summary",
        activation="relu",
    ),
    HeadForm(
        "InternLM2-reward, Athene-RM; Starling-RM",
        "internlm/internlm2-7b-reward, modeling_internlm2.py; allenai/reward-bench, models/athene.py; "
        "berkeley-nest/Starling-RM-7B-alpha",
        tensors="v_head",
        read_at="read-out token",
    ),
    HeadForm("OpenRLHF", "OpenRLHF/OpenRLHF, models/model.py", tensors="value_head"),
    HeadForm("value heads of TRL under another name", "huggingface/trl", tensors="value_head.summary"),
    HeadForm(
        "Eurus-RM",
        "openbmb/Eurus-RM-7b, modeling_eurus_rm.py and its card",
        tensors="regression_head",
        architectures=("EurusRewardModel",),
        frame=_turns("[INST] TEXT [\\INST]", " TEXT"),
    ),
    HeadForm(
        "UltraRM",
        "openbmb/UltraRM-13b: LlamaRewardModel and its card; allenai/reward-bench, models/openbmb.py",
        tensors="regression_head",
        frame=_turns("Human: TEXT\n", "Assistant: TEXT"),
    ),
    HeadForm(
        "Beaver (safe-rlhf), rewards and costs",
        "PKU-Alignment/safe-rlhf, models/score_model and models/normalizer.py",
        tensors="score_head",
        normalize="normalizer",
        frame=_turns("USER: TEXT ", "ASSISTANT:TEXT", start="BEGINNING OF CONVERSATION: "),
    ),
    HeadForm(
        "OpenAssistant's Pythia rewards",
        "LAION-AI/Open-Assistant, model_training/models/reward_model.py",
        tensors="out_proj",
        frame=_turns("<|prompter|>TEXT<|endoftext|>", "<|assistant|>TEXT<|endoftext|>"),
    ),
    HeadForm("others", "", tensors="reward_head"),
    HeadForm("others", "", tensors="rm_head"),
    HeadForm("others", "", tensors="classifier"),
)
"""Of two rows with the same tensors, the one that names architectures stands first."""

BODIES = MappingProxyType({"gpt_neox_reward_model": "gpt_neox", internlm2.MODEL_TYPE: internlm2.BODY})
"""Model types that transformers does not know, and the one whose body they have."""
