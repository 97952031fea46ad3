"""What a sampler says of the law its chains follow: a value, from which both the sentence and the check are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OPTIMIZER = "optimizer: samples no stated law"


@dataclass(frozen=True)
class Law:
    """One of four claims; `str(law)` is the sentence that `describe`, results and the documentation print.

    The first two are about the responses, so that `check_sampler` compares the chains with the enumerated law. The
    third is shown by a test of the sampler's own; the last makes no claim, and its sentence begins with that.

    Attributes:
        kind: "target": exp(−β E) exactly; "limit": exp(−β E) in a limit; "latent": another law, usually over the
            latents; "none": no law.
        beta: the sampler's option that is β; None: β is 1.
        text: the limit, the law in words, or what there is to say without one.
    """

    kind: Literal["target", "limit", "latent", "none"]
    beta: str | None = None
    text: str = ""

    @classmethod
    def target(cls, beta: str | None = None) -> Law:
        """The chains follow exp(−β E(x, y)) over responses, exactly.

        Args:
            beta: name of the option that is β; left out, β is 1.
        """
        return cls("target", beta)

    @classmethod
    def limit(cls, text: str, beta: str | None = None) -> Law:
        """The chains follow exp(−β E(x, y)) over responses in a limit, for example `as particles → ∞`."""
        return cls("limit", beta, text)

    @classmethod
    def latent(cls, text: str) -> Law:
        """Another law than exp(−β E) over responses, in words; a test of the sampler shows it."""
        return cls("latent", None, text)

    @classmethod
    def none(cls, text: str = "") -> Law:
        """No law is claimed: an optimizer, or chains whose law is unknown; `text` may say more."""
        return cls("none", None, text)

    @property
    def over_responses(self) -> bool:
        """Whether the claim is exp(−β E) over responses, which can be enumerated on a small language."""
        return self.kind in ("target", "limit")

    def __str__(self) -> str:
        if self.kind == "latent":
            return self.text
        if self.kind == "none":
            return f"samples no stated law: {self.text}" if self.text else OPTIMIZER
        power = f"−{self.beta} · E(x, y)" if self.beta else "−E(x, y)"
        how = "exactly" if self.kind == "target" else self.text
        return f"exp({power}) over responses of at most the run's length, {how}"
