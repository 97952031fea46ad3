"""What a client may send: OpenAI's fields, ours under `sea`, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from sea_toolkit.models.policy_spec import Strict

Neutral1 = Annotated[float, Field(ge=1, le=1)]
Neutral0 = Annotated[float, Field(ge=0, le=0)]
"""Fields that can only be sent with the value that changes nothing: an answer is not drawn token by token."""


class SeaOptions(Strict):
    """How the answer is searched for; what is left out is the recipe's.

    Attributes:
        recipe: one of the server's recipes, by its name.
        reward: a reward that the server allows, or reward → weight, added to the recipe's.
        energies: label → the options of an energy that the server allows, and its `weight`; added to the recipe's.
        constraints: limits as in a recipe, added to the recipe's.
        sampler: a name, or a table of the name and its options.
        budget, steps, chains: as in a recipe.
        max_seconds: of sampling; then the best so far is the answer.
        isolated: run alone; what runs together changes the last digits of each other's energies.
    """

    recipe: str | None = None
    reward: str | dict[str, float] | None = None
    energies: dict[str, dict[str, Any]] = Field(default_factory=dict, max_length=16)
    constraints: list[dict[str, Any]] = Field(default_factory=list, max_length=16)
    sampler: str | dict[str, Any] | None = None
    budget: Annotated[float, Field(gt=0)] | None = None
    steps: Annotated[int, Field(gt=0)] | None = None
    chains: Annotated[int, Field(gt=0)] | None = None
    max_seconds: Annotated[float, Field(gt=0)] | None = None
    isolated: bool = False


class StreamOptions(Strict):
    """What a stream tells beside the answer."""

    include_usage: bool = False


class TextFormat(Strict):
    """The one form of answers."""

    type: Literal["text"]


class Asked(Strict):
    """The fields that both endpoints share."""

    model: str
    n: Annotated[int, Field(ge=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    sea: SeaOptions = Field(default_factory=SeaOptions)
    top_p: Neutral1 | None = None
    frequency_penalty: Neutral0 | None = None
    presence_penalty: Neutral0 | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None

    @property
    def stops(self) -> list[str]:
        """Texts at which an answer is cut; an empty one cuts nothing."""
        return [text for text in ([self.stop] if isinstance(self.stop, str) else self.stop or []) if text]


class ChatRequest(Asked):
    """`POST /v1/chat/completions`."""

    messages: list[dict[str, Any]]
    max_completion_tokens: Annotated[int, Field(gt=0)] | None = None
    response_format: TextFormat | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None


class CompletionRequest(Asked):
    """`POST /v1/completions`; `logprobs` counts the alternatives that are told of each token: none."""

    prompt: str | Annotated[list[str], Field(min_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    best_of: Annotated[int, Field(ge=1, le=1)] | None = None
    echo: Literal[False] | None = None
    suffix: Annotated[str, Field(max_length=0)] | None = None


def keys_of(request: type[ChatRequest | CompletionRequest]) -> Mapping[str, list[str]]:
    """Table of a request → its keys."""
    return {
        "": list(request.model_fields),
        "sea": list(SeaOptions.model_fields),
        "stream_options": list(StreamOptions.model_fields),
    }
