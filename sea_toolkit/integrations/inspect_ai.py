"""The provider `sea` of Inspect: `inspect eval task.py --model sea/smollm2-135m -M reward=sentiment=8`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import anyio
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from sea_toolkit.errors import RecipeError
from sea_toolkit.integrations.aligned import Aligned, Answer

_REFUSED = ("temperature", "top_p", "top_k", "logprobs", "num_choices", "frequency_penalty", "presence_penalty")
_WAIT = 0.05
"""Seconds in which requests gather for one run."""


@dataclass
class _Request:
    """A conversation that waits for its run; `settings` are those that all of a run share."""

    messages: list[dict[str, str]]
    stops: Sequence[str]
    settings: tuple[tuple[str, Any], ...]
    outcome: Answer | Exception | None = None


@modelapi(name="sea")
class SeaAPI(ModelAPI):
    """A policy whose answers are aligned by a recipe.

    Args:
        model_name: the policy's, as `--model sea/NAME` says it; "recipe" for the recipe's own.
        base_url: of providers with a server.
        api_key: of providers with a server.
        config: of all calls.
        batch: requests that may share a run.
        arguments: see `ARGUMENTS`, each as `-M NAME=VALUE`.

    Raises:
        RecipeError: an unknown argument, or the recipe is wrong.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008  # the signature of Inspect's providers
        batch: int = 8,
        **arguments: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        model = {} if model_name == "recipe" else {"model": model_name}
        self._batch = int(batch)
        self._aligned = Aligned({**arguments, **model}, self._batch)
        self._waiting: list[_Request] = []
        self._lock = anyio.Lock()

    def max_connections(self) -> int:
        return self._batch

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """An aligned answer; requests that come together share a run.

        Raises:
            RecipeError: tools, or options of sampling: the recipe says how answers are drawn.
        """
        request = _request(input, tools, config)
        self._waiting.append(request)
        await anyio.sleep(_WAIT if self._batch > 1 else 0)
        async with self._lock:
            if request.outcome is None:
                await anyio.to_thread.run_sync(self._run, self._company(request))
        if isinstance(request.outcome, Exception):
            raise request.outcome
        assert request.outcome is not None
        return self._output(request.outcome)

    def _company(self, request: _Request) -> list[_Request]:
        """The request, and others with its settings; they no longer wait."""
        others = [r for r in self._waiting if r is not request and r.settings == request.settings]
        chosen = [request, *others[: self._batch - 1]]
        self._waiting = [r for r in self._waiting if not any(r is one for one in chosen)]
        return chosen

    def _run(self, requests: list[_Request]) -> None:
        """Align the answers of a run, in a worker thread; what fails is each request's outcome."""
        prompts, stops = [r.messages for r in requests], [r.stops for r in requests]
        try:
            answers = self._aligned.answers(prompts, stops, **dict(requests[0].settings))
        except Exception as error:
            for request in requests:
                request.outcome = error
            return
        for request, answer in zip(requests, answers, strict=True):
            request.outcome = answer

    def _output(self, answer: Answer) -> ModelOutput:
        policy, result = self._aligned.policy, answer.result
        read = len(policy.encode([result.prompt], 0)[0])
        written = result.candidates[0].tokens
        message = ChatMessageAssistant(content=answer.text, model=self.model_name, source="generate")
        stop = "stop" if result.finished[1] or answer.text != result.response else "max_tokens"
        return ModelOutput(
            model=self.model_name,
            choices=[ChatCompletionChoice(message=message, stop_reason=stop)],
            usage=ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written),
            metadata={"sea": answer.facts},
        )


def _request(messages: list[ChatMessage], tools: list[ToolInfo], config: GenerateConfig) -> _Request:
    if tools:
        raise RecipeError("the task gives tools", expected="a task that asks for answers in text")
    wanted = config.model_dump(exclude_none=True)
    for name in _REFUSED:
        if name in wanted:
            raise RecipeError(
                f"{name} = {wanted[name]}", expected="no option of sampling: the recipe says how answers are drawn"
            )
    names = {"most_tokens": config.max_tokens, "seed": config.seed}
    settings = tuple((name, value) for name, value in names.items() if value is not None)
    turns = [{"role": message.role, "content": message.text} for message in messages]
    return _Request(turns, config.stop_seqs or (), settings)
