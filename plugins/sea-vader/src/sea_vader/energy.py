"""The energy `vader`: how far a text's sentiment is from the wanted one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer


@lru_cache(maxsize=1)
def analyzer() -> SentimentIntensityAnalyzer:
    """The lexicon, read once."""
    return SentimentIntensityAnalyzer()


def vader(
    prompts: Sequence[str],
    texts: Sequence[str],
    *,
    target: Annotated[float, Field(ge=-1, le=1)] = 1.0,
    score: Literal["compound", "pos", "neg", "neu"] = "compound",
) -> list[float]:
    """Distance of each text's sentiment from `target`: 0 where it is reached, at most 2.

    A lexicon of 7500 words with rules for negation, intensity, capitals and emoji; it reads English. It scores text
    only: samplers use it to choose and to accept, and a sampler that needs gradients refuses it.

    Args:
        target: the wanted sentiment, from −1 (bad) over 0 (neutral) to 1 (good); parts are from 0 to 1.
        score: "compound", from −1 to 1; or the part of the text that is positive, negative or neutral.

    Source: Hutto and Gilbert, 2014, VADER.
    """
    return [abs(analyzer().polarity_scores(text)[score] - target) for text in texts]
