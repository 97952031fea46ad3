"""What each kind of server is sent for texts, and where in its answer the scores are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sea_toolkit.energies.remote_reward.client import Request
from sea_toolkit.util.conversation import Message

ApiName = Literal["sglang", "vllm-classify", "vllm-pooling", "vllm-score", "openrlhf"]


class WrongAnswer(Exception):
    """An answer has another form than the server's kind gives.

    Args:
        reason: in words.
    """


@dataclass(frozen=True)
class Shown:
    """One text to score, as each kind of server may want it.

    Attributes:
        prompt: the user's last turn.
        answer: to it.
        text: the two as the model is to read them; None where `turns`, or prompt and answer apart, are sent.
        ids: tokens of that text, where the model's tokenizer is at hand.
        turns: the conversation, for a server that has the chat template.
        label: what the answer is compared with, or "".
    """

    prompt: str
    answer: str
    text: str | None = None
    ids: Sequence[int] | None = None
    turns: Sequence[Message] | None = None
    label: Any = ""

    @property
    def is_empty(self) -> bool:
        """There is nothing that a model could read."""
        return self.turns is None and self.text is not None and not self.input

    @property
    def input(self) -> Any:
        """Tokens if they are known: the server cannot add special tokens that a chat template has written already."""
        return self.text if self.ids is None else self.ids


class Api(ABC):
    """One kind of server.

    Attributes:
        name: in recipes.
        path: behind the server's URL.
        reads_turns: it takes a conversation and has the model's chat template.
        reads_pairs: it takes prompt and answer apart.
    """

    name: ClassVar[ApiName]
    path: ClassVar[str]
    reads_turns: ClassVar[bool] = False
    reads_pairs: ClassVar[bool] = False

    @abstractmethod
    def data(self, items: Sequence[Shown], model: str | None) -> dict[str, Any]:
        """What is posted for some texts; for one alone where they are conversations.

        Args:
            items: the texts.
            model: its name at the server, or None.
        """

    @abstractmethod
    def rows(self, answer: Any) -> list[list[float]]:
        """All outputs for each text; NaN where the server has none.

        Raises:
            WrongAnswer: with what is wrong.
        """

    def request(self, items: Sequence[Shown], model: str | None) -> Request:
        """The request for some texts."""
        return Request(self.path, self.data(items, model))


class Sglang(Api):
    """SGLang's native API, `POST /classify` with `text` or `input_ids`; an answer is a list of `{"embedding": […]}`, or
    one of them for one text (docs.sglang.ai, "SGLang Native APIs", reward models; `EmbeddingReqInput`)."""

    name, path = "sglang", "/classify"

    def data(self, items: Sequence[Shown], model: str | None) -> dict[str, Any]:
        key = "input_ids" if items[0].ids is not None else "text"
        return {**({"model": model} if model else {}), key: [item.input for item in items]}

    def rows(self, answer: Any) -> list[list[float]]:
        return [_row(entry, "embedding") for entry in (answer if isinstance(answer, list) else [answer])]


class _Vllm(Api):
    """What vLLM's pooling endpoints share: `data` with an `index`, and raw outputs by `use_activation: false`, without
    which a model of one output gives its sigmoid, and one of several their softmax.

    Older names of that switch are left out: vLLM 0.11 reads `activation: false` as true.
    """

    key: ClassVar[str]

    def data(self, items: Sequence[Shown], model: str | None) -> dict[str, Any]:
        shared = {**({"model": model} if model else {}), "use_activation": False}
        if items[0].turns is None:
            return {**shared, "input": [item.input for item in items]}
        return {**shared, "messages": [turn.to_dict() for turn in items[0].turns]}

    def rows(self, answer: Any) -> list[list[float]]:
        entries = answer.get("data") if isinstance(answer, Mapping) else None
        if not isinstance(entries, list):
            raise WrongAnswer(f"has no list `data`{_keys(answer)}")
        if all(isinstance(entry, Mapping) and isinstance(entry.get("index"), int) for entry in entries):
            entries = sorted(entries, key=lambda entry: entry["index"])
        return [_row(entry, self.key) for entry in entries]


class VllmClassify(_Vllm):
    """vLLM's `POST /classify` with `input` or `messages`; outputs are the `probs` of each entry of `data`
    (docs.vllm.ai, "Classification Usages"; `ClassificationRequest`)."""

    name, path, key, reads_turns = "vllm-classify", "/classify", "probs", True


class VllmPooling(_Vllm):
    """vLLM's `POST /pooling`, for reward models whose head it does not know as a classifier; outputs are the `data` of
    each entry, and of a model that gives a row for each token, those of the last token (docs.vllm.ai, "Pooling Models",
    reward models; `PoolingRequest`)."""

    name, path, key, reads_turns = "vllm-pooling", "/pooling", "data", True


class VllmScore(_Vllm):
    """vLLM's `POST /score` of cross-encoders, with prompts as `text_1` and answers as `text_2` (docs.vllm.ai, "Scoring
    Usages"; `ScoreRequest`)."""

    name, path, key, reads_pairs = "vllm-score", "/score", "score", True

    def data(self, items: Sequence[Shown], model: str | None) -> dict[str, Any]:
        pairs = {"text_1": [item.prompt for item in items], "text_2": [item.answer for item in items]}
        return {**({"model": model} if model else {}), "use_activation": False, **pairs}


class OpenRlhf(Api):
    """A reward server of OpenRLHF, `POST /get_reward` with `query` (prompt and answer), `prompts` and `labels`; an
    answer is `{"rewards": […]}` (OpenRLHF, `openrlhf/cli/serve_rm.py` and `openrlhf/utils/remote_rm_utils.py`)."""

    name, path = "openrlhf", "/get_reward"

    def data(self, items: Sequence[Shown], model: str | None) -> dict[str, Any]:
        return {
            "query": [item.text for item in items],
            "prompts": [item.prompt for item in items],
            "labels": [item.label for item in items],
        }

    def rows(self, answer: Any) -> list[list[float]]:
        rewards = answer.get("rewards") if isinstance(answer, Mapping) else None
        if not isinstance(rewards, list):
            raise WrongAnswer(f"has no list `rewards`{_keys(answer)}")
        return [_numbers(reward, "rewards") for reward in rewards]


APIS: dict[str, Api] = {api.name: api for api in (Sglang(), VllmClassify(), VllmPooling(), VllmScore(), OpenRlhf())}
"""By the name in recipes."""


def _row(entry: Any, key: str) -> list[float]:
    if not isinstance(entry, Mapping) or key not in entry:
        raise WrongAnswer(f"has an entry without `{key}`{_keys(entry)}")
    return _numbers(entry[key], key)


def _numbers(value: Any, key: str) -> list[float]:
    """A number, a list of them, or a list for each token, of which the last one counts; null is NaN."""
    if isinstance(value, list) and value and all(isinstance(row, list) for row in value):
        value = value[-1]
    found = value if isinstance(value, list) else [value]
    if not found or any(isinstance(x, bool) or not isinstance(x, int | float | None) for x in found):
        raise WrongAnswer(f"has `{key}` = {str(value)[:60]}, which is no number and no list of numbers")
    return [float("nan") if x is None else float(x) for x in found]


def _keys(answer: Any) -> str:
    if isinstance(answer, Mapping):
        return f"; its keys are {', '.join(map(str, list(answer)[:6])) or 'none'}"
    return f"; it is a {type(answer).__name__}"
