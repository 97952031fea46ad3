"""The queue of requests: bounded, in order, and requests that can share a run are taken together."""

from __future__ import annotations

import threading
import time

from sea_toolkit.serving.errors import busy, stopping
from sea_toolkit.serving.job import Job


class WaitingJobs:
    """Requests that no run has taken yet.

    Args:
        most: so many; the next one is refused.
        window: seconds that the first one waits for others.
        batch: prompts of a run, at most.
    """

    def __init__(self, most: int, window: float, batch: int) -> None:
        self.most, self.window, self.batch = most, window, batch
        self._jobs: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._seconds = 1.0

    def __len__(self) -> int:
        """Requests whose clients are still there."""
        return sum(not job.left.is_set() for job in self._jobs)

    def put(self, job: Job) -> None:
        """Let a request wait.

        Raises:
            ApiError: the queue is full (429), or closed (503).
        """
        with self._changed:
            if self._closed:
                raise stopping()
            if len(self) >= self.most:
                raise busy(self.retry_after)
            self._jobs.append(job)
            self._changed.notify_all()

    @property
    def retry_after(self) -> int:
        """Seconds until the requests that wait now will have been run, as the latest runs were."""
        return max(1, round(self._seconds * (1 + len(self) / self.batch)))

    def took(self, seconds: float) -> None:
        """Learn how long a run takes."""
        self._seconds += 0.3 * (seconds - self._seconds)

    def take(self) -> list[Job]:
        """Wait for a request, and for those that can share its run; none when the queue is closed and empty."""
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return []
                self._changed.wait()
            until = time.monotonic() + self.window
            while not self._closed and (rest := until - time.monotonic()) > 0 and self._shares() < self.batch:
                self._changed.wait(rest)
            return self._take()

    def close(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> list[Job]:
        """Take out all requests."""
        with self._changed:
            jobs, self._jobs = self._jobs, []
            return jobs

    def _shares(self) -> int:
        """Prompts that could be run together with the first request's."""
        if self._jobs[0].order.isolated:
            return self.batch
        key = self._jobs[0].order.key
        return sum(len(j.order.prompts) for j in self._jobs if j.order.key == key and not j.order.isolated)

    def _take(self) -> list[Job]:
        first = self._jobs.pop(0)
        taken, room = [first], self.batch - len(first.order.prompts)
        if not first.order.isolated:
            for job in list(self._jobs):
                if job.order.key == first.order.key and not job.order.isolated and len(job.order.prompts) <= room:
                    taken.append(job)
                    room -= len(job.order.prompts)
                    self._jobs.remove(job)
        return taken
