"""What a request may ask for at most, and how much is worked on at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of a server; what its own recipes say is not bounded by them.

    Attributes:
        budget, steps, chains, tokens: of a request's own settings: base samples and steps per prompt, chains, and
            tokens of an answer.
        width: whole numbers among the options of a request's sampler: particles, tries, successors.
        options: characters of `sea`, written as JSON.
        choices: answers per prompt (`n`).
        seconds: of sampling for a run; then the best so far is the answer.
        characters: of all messages of a prompt together.
        body: bytes of a request.
        batch: prompts in a run, and in a request.
        window: seconds that a request waits for others which can share its run.
        waiting: requests that wait for a run; one more is refused with 429.
        drain: seconds that requests which are there at the end of the server have to be finished.
    """

    budget: float = 64.0
    steps: int = 256
    chains: int = 16
    tokens: int = 512
    width: int = 64
    options: int = 8192
    choices: int = 8
    seconds: float = 120.0
    characters: int = 50_000
    body: int = 2**20
    batch: int = 16
    window: float = 0.05
    waiting: int = 64
    drain: float = 30.0
