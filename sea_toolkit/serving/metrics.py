"""Numbers for Prometheus. No label is a text of a client."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest

ROUTES = ("/v1/chat/completions", "/v1/completions", "/v1/models", "/health", "/metrics")


class Metrics:
    """The counters of one server.

    Args:
        waiting: how many requests wait.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "sea_requests", "Responses by route and status.", ["route", "status"], registry=self.registry
        )
        depth = Gauge("sea_queue_depth", "Requests that wait for a run.", registry=self.registry)
        depth.set_function(waiting)
        self.batch = Histogram(
            "sea_batch_prompts", "Prompts of a run.", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self.registry
        )
        self.steps = Counter("sea_steps", "Steps of samplers.", registry=self.registry)
        self.step_seconds = Histogram("sea_step_seconds", "Seconds of a step.", registry=self.registry)
        self.samples = Counter("sea_samples", "Base samples that were spent.", registry=self.registry)
        self.cancelled = Counter(
            "sea_cancelled", "Requests whose client left before the answer.", registry=self.registry
        )
        self._rewards = Summary(
            "sea_reward", "Rewards of the first text and of the answer.", ["reward", "text"], registry=self.registry
        )

    def responded(self, path: str, status: int) -> None:
        """Count a response."""
        self._requests.labels(route_of(path), str(status)).inc()

    def rewarded(self, rewards: Mapping[str, tuple[float, float]]) -> None:
        """Note rewards (before, after), by labels of the server's own recipes."""
        for label, pair in rewards.items():
            for text, value in zip(("first", "answer"), pair, strict=True):
                self._rewards.labels(label, text).observe(value)

    def text(self) -> bytes:
        """All of them, in Prometheus' format."""
        return generate_latest(self.registry)


def route_of(path: str) -> str:
    """The route of a path; "other" for what a client has made up."""
    return next((route for route in ROUTES if path == route or path.startswith(f"{route}/")), "other")
