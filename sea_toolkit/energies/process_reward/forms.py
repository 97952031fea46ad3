"""How families of process rewards are shown the steps of an answer, and where they are read.

Where their procedures are published:

- `math-shepherd`: model card of peiyi9979/math-shepherd-mistral-7b-prm: the softmax over the logits of + and − at the
  tag ки behind each step.
- `rlhflow`: RLHFlow/RLHF-Reward-Modeling, math-rm/prm_evaluate.py: each step is a turn of the user's, and the assistant
  answers + or −.
- `qwen-prm`: model card of Qwen2.5-Math-PRM-7B (`make_step_rewards`): the second of two classes at <extra_0>.
- `skywork-prm`: SkyworkAI/skywork-o1-prm-inference (`prepare_input`): the sigmoid of a value head at the line break
  behind each step; steps and line breaks are tokenized by themselves.
- `trl`: TRL's PRMTrainer (`tokenize_row`): the second class of a token classifier at the line break behind each step,
  tokenized likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sea_toolkit.readers.conversation_text import CONVERSATION, Turns
from sea_toolkit.util.conversation import Message

Family = Literal["math-shepherd", "rlhflow", "qwen-prm", "skywork-prm", "trl"]
Combine = Literal["last", "min", "mean", "product"]
Cut = Literal["whole", "steps"]
"""What is tokenized: the whole text, or prompt, steps and separators each by itself."""


@dataclass(frozen=True)
class StepForm:
    """What a process reward reads.

    Attributes:
        turns: of the conversation; {response} is all steps with what stands between them.
        steps: a pattern between two steps of an answer.
        separator: what is put behind each step; the model is read at its last token.
        between: what stands behind it, before the next step.
        verdict: said by the assistant about each step, in a turn of its own, where the model is read before it.
        good: the next token that speaks for a step, and `bad` the one against it; a model with a head has neither.
        bad: see `good`.
        cut: what is tokenized.
        output: which output of a head with several is the probability that a step is right.
        options: variables of the chat template.
        plain: the turn's text is all that the model reads, whatever its chat template.
    """

    turns: Turns = CONVERSATION
    steps: str = r"\n\n"
    separator: str = ""
    between: str = ""
    verdict: str | None = None
    good: str | None = None
    bad: str | None = None
    cut: Cut = "whole"
    output: int | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    plain: bool = False


FORMS: dict[Family, StepForm] = {
    "math-shepherd": StepForm(
        (Message("user", "{prompt} {response}"),), separator=" ки", between="\n", good=" +", bad=" -", plain=True
    ),
    "rlhflow": StepForm((Message("user", "{prompt} {response}"),), verdict="+", good="+", bad="-"),
    "qwen-prm": StepForm(
        (Message("system", "Please reason step by step, and put your final answer within \\boxed{}."), *CONVERSATION),
        separator="<extra_0>",
        output=1,
    ),
    "skywork-prm": StepForm(
        (Message("user", "{bos}{prompt}\n{response}"),), steps=r"\n", separator="\n", cut="steps", plain=True
    ),
    "trl": StepForm(
        (Message("user", "{bos}{prompt}{response}"),), steps=r"\n", separator="\n", cut="steps", output=1, plain=True
    ),
}

_ARCHITECTURES: dict[str, Family] = {
    "ForProcessRewardModel": "qwen-prm",
    "ForPrmModel": "skywork-prm",
    "ForTokenClassification": "trl",
}


def family_of(architectures: list[str]) -> Family | None:
    """The family that a config's architectures tell, or None."""
    for ending, family in _ARCHITECTURES.items():
        if any(name.endswith(ending) for name in architectures):
            return family
    return None
