"""The one thread that owns the models: takes requests that can share a run, runs them, and hands out the answers."""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from sea_toolkit.errors import SeaError
from sea_toolkit.events import Event
from sea_toolkit.serving.engine import Engine
from sea_toolkit.serving.errors import ApiError, internal, of_sea_error, stopping
from sea_toolkit.serving.job import Draft, Job
from sea_toolkit.serving.metrics import Metrics
from sea_toolkit.serving.waiting import WaitingJobs
from sea_toolkit.util.conversation import Prompt

log = logging.getLogger("sea_toolkit.serving")


class AllLeftError(Exception):
    """Every client of a run has gone."""


class Worker(threading.Thread):
    """Loads the models, then runs until it is told to stop.

    Args:
        engine: does the runs.
        waiting: where requests come from.
        metrics: counts.

    Attributes:
        ready: set once the models are loaded.
        failure: why they could not be, or None.
        on_end: called when the thread ends.
    """

    def __init__(self, engine: Engine, waiting: WaitingJobs, metrics: Metrics) -> None:
        super().__init__(name="sea-toolkit serve", daemon=True)
        self.engine, self.waiting, self.metrics = engine, waiting, metrics
        self.ready = threading.Event()
        self.failure: Exception | None = None
        self.on_end: Callable[[], None] = lambda: None
        self._until = math.inf

    def run(self) -> None:
        try:
            self.engine.load()
            self.ready.set()
            while jobs := self.waiting.take():
                self._answer(jobs)
        except Exception as error:
            self.failure = error
        finally:
            self.ready.clear()
            self.waiting.close()
            for job in self.waiting.clear():
                job.fail(stopping())
            self.on_end()

    def stop(self, seconds: float) -> None:
        """Let nobody in any more; what runs after so many seconds ends with the best so far."""
        self._until = min(self._until, time.monotonic() + seconds)
        self.waiting.close()

    def _answer(self, jobs: Sequence[Job]) -> None:
        if time.monotonic() >= self._until:
            for job in jobs:
                job.fail(stopping())
            return
        counted = [(job, count) for job in jobs if (count := self._prompt_tokens(job)) is not None]
        if not counted:
            return
        here, began = [job for job, _ in counted], time.monotonic()
        try:
            self._run(here, [count for _, count in counted])
        except AllLeftError:
            pass
        except Exception as error:
            if len(here) > 1:  # the fault of one of them is not that of the others
                for job in here:
                    self._answer([job])
                return
            here[0].fail(_told(error, here[0]))
        self.waiting.took(time.monotonic() - began)
        for job in here:
            self._is_left(job)

    def _prompt_tokens(self, job: Job) -> list[int] | None:
        """Of its prompts; None if there is nothing to be run for it."""
        if self._is_left(job):
            return None
        try:
            return self.engine.prompt_tokens(job.order)
        except Exception as error:
            job.fail(_told(error, job))
            return None

    def _run(self, jobs: Sequence[Job], prompt_tokens: Sequence[Sequence[int]]) -> None:
        prompts = list(dict.fromkeys(prompt for job in jobs for prompt in job.order.prompts))
        self.metrics.batch.observe(len(prompts))
        watch = _Watch(jobs, prompts, self.metrics)

        def should_stop() -> bool:
            if all(job.left.is_set() for job in jobs):
                raise AllLeftError
            return time.monotonic() >= self._until

        found = self.engine.run([job.order for job in jobs], watch, should_stop, prompts, prompt_tokens)
        for job, answers in zip(jobs, found, strict=True):
            for answer in answers:
                self.metrics.samples.inc(answer.samples)
                self.metrics.rewarded({k: v for k, v in answer.rewards.items() if k in self.engine.reward_labels})
            job.finish(answers)

    def _is_left(self, job: Job) -> bool:
        """Whether its client has gone, which is counted."""
        if job.left.is_set():
            self.metrics.cancelled.inc()
        return job.left.is_set()


class _Watch:
    """Counts the steps of a run, and tells its clients."""

    def __init__(self, jobs: Sequence[Job], prompts: Sequence[Prompt], metrics: Metrics) -> None:
        rows = {prompt: row for row, prompt in enumerate(prompts)}
        self._jobs = [(job, [rows[prompt] for prompt in job.order.prompts]) for job in jobs]
        self._metrics, self._at = metrics, time.monotonic()

    def __call__(self, event: Event) -> None:
        if event.kind == "step":
            now = time.monotonic()
            self._metrics.steps.inc()
            self._metrics.step_seconds.observe(now - self._at)
            self._at = now
        if event.kind in ("start", "step"):
            for job, rows in self._jobs:
                job.tell(functools.partial(_draft, event, rows))


def _draft(event: Event, rows: Sequence[int]) -> Draft:
    return Draft(event.step, [event.energy[row] for row in rows], [event.texts[row] for row in rows])


def _told(error: Exception, job: Job) -> ApiError:
    """What a client is told of a failure; one that is not the client's goes to the log in full."""
    if isinstance(error, ApiError):
        return error
    prompt = "prompt" if job.order.continues else "messages"
    told = of_sea_error(error, "sea", prompt) if isinstance(error, SeaError) else internal()
    if told.status >= 500:
        log.error("a request could not be answered", exc_info=error)
    return told
