"""A response as server-sent events: how far the run is, then the whole answer at once.

The answer is edited until the end, so that no token of it is certain before. What is sent meanwhile are comments, which
keep the line open, and events with an empty delta whose `sea` has the step, the energy and the draft.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sea_toolkit.runs.result import finite
from sea_toolkit.serving.answers import Answer
from sea_toolkit.serving.errors import ApiError, internal
from sea_toolkit.serving.job import Draft, Job
from sea_toolkit.serving.replies import Reply, finish_reason, of_choice, spent, usage

KEEP_ALIVE = 5.0
"""Seconds without an event after which a comment is sent."""

log = logging.getLogger("sea_toolkit.serving")


async def _events(job: Job, reply: Reply, with_usage: bool) -> AsyncIterator[bytes]:
    """The lines of the response."""
    try:
        yield _event(reply.part([reply.delta(0, None, begins=True)]))
        while True:
            try:
                draft = await asyncio.wait_for(job.drafts.get(), KEEP_ALIVE)
            except TimeoutError:
                yield b": waiting\n\n"
                continue
            if draft is None:
                break
            yield _event(reply.part([reply.delta(0, None)], sea=_progress(draft)))
        answers = await job.answers
        for body in _whole(reply, answers, with_usage):
            yield _event(body)
        yield b"data: [DONE]\n\n"
    except ApiError as error:
        yield _event(error.body())
    except Exception as error:
        log.error("a stream has failed", exc_info=error)
        yield _event(internal().body())


class Stream(StreamingResponse):
    """The response; a client that leaves it ends its run.

    Args:
        job: of the request.
        reply: writes the bodies.
        with_usage: an event with the usage comes last.
    """

    def __init__(self, job: Job, reply: Reply, with_usage: bool) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(_events(job, reply, with_usage), media_type="text/event-stream", headers=headers)
        self.job = job

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # not in the iterator: one that was never begun has none
            self.job.leave()


def _whole(reply: Reply, answers: list[Answer], with_usage: bool) -> list[dict[str, Any]]:
    """The events of the answer."""
    choices = [choice for answer in answers for choice in answer.choices]
    texts = [
        reply.part([reply.delta(i, choice, begins=i > 0)], sea=of_choice(choice)) for i, choice in enumerate(choices)
    ]
    ends = [
        reply.part([reply.delta(i, None) | {"finish_reason": finish_reason(choice)}])
        for i, choice in enumerate(choices)
    ]
    ends[-1]["sea"] = spent(answers)
    return [*texts, *ends, *([reply.part([], usage=usage(answers))] if with_usage else [])]


def _progress(draft: Draft) -> dict[str, Any]:
    """A draft; of several prompts a list."""
    energies = [finite(energy) for energy in draft.energy]
    one = len(energies) == 1
    return {
        "step": draft.step,
        "energy": energies[0] if one else energies,
        "draft": draft.texts[0] if one else list(draft.texts),
    }


def _event(body: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(body, ensure_ascii=False, allow_nan=False)}\n\n".encode()
