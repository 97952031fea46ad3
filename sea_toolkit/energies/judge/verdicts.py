"""The verdicts of a judge as token strings, and the log-odds of those that are wanted against the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.tokens import TextCodec, start_of_text

String = tuple[int, ...]


class Verdicts:
    """Strings of tokens for and against, each scored by its whole log-probability.

    A string of n tokens needs the model's distribution behind its first n − 1. Strings that begin alike share them: the
    model reads each of `stems`, the longest beginnings, once.

    Args:
        yes: words for.
        no: words against.
        exact: count them as they are written; otherwise in all spellings that are one token.
        lm: the judge.
        place: how its tokenizer cuts what stands at the verdict's place.

    Raises:
        RecipeError: an empty word; one that begins with another, of which nothing tells where it ends.
    """

    def __init__(self, yes: Sequence[str], no: Sequence[str], exact: bool, lm: Policy, place: TextCodec) -> None:
        self.yes, self.no = (strings(words, exact, lm, place) for words in (yes, no))
        self._refuse_ambiguous(lm)
        beginnings = {string[:-1] for string in (*self.yes, *self.no)}
        self.stems = [
            stem for stem in sorted(beginnings) if not any(stem != b and b[: len(stem)] == stem for b in beginnings)
        ]

    @property
    def longest(self) -> int:
        """Tokens of the longest stem."""
        return max(map(len, self.stems))

    def log_odds(self, log_probs: Float[Tensor, "*rows K n V"]) -> Float[Tensor, "*rows"]:
        """log Σ p(yes) − log Σ p(no).

        Args:
            log_probs: of the next token behind the first 0 … n − 1 tokens of each of the K stems.
        """
        return self._sum(self.yes, log_probs) - self._sum(self.no, log_probs)

    def _sum(self, wanted: Iterable[String], log_probs: Tensor) -> Tensor:
        """log of the probability that one of the strings is said."""
        each = []
        for string in wanted:
            k = next(k for k, stem in enumerate(self.stems) if stem[: len(string) - 1] == string[:-1])
            each.append(torch.stack([log_probs[..., k, i, token] for i, token in enumerate(string)]).sum(0))
        return torch.stack(each).logsumexp(0)

    def _refuse_ambiguous(self, lm: Policy) -> None:
        both = self.yes & self.no
        if both:
            raise RecipeError(f"judge takes {lm.decode(sorted(both)[0])!r} for yes and for no")
        everything = sorted(self.yes | self.no)
        for short in everything:
            longer = next((s for s in everything if s != short and s[: len(short)] == short), None)
            if longer is not None:
                raise RecipeError(
                    f"the verdict {lm.decode(longer)!r} of judge begins with the verdict {lm.decode(short)!r}",
                    expected="verdicts of which none is the beginning of another",
                    hint="write both to their end: a line break, or what the model says next",
                )


def strings(words: Sequence[str], exact: bool, lm: Policy, place: TextCodec) -> set[String]:
    """The token strings of the words.

    A word counts in all spellings that are one token: as given, lower case, capitalized and upper case, with a space
    before it or not. One that is a single token in none of them counts as it is written.

    Raises:
        RecipeError: there are no words, or an empty one.
    """
    if not words or not all(words):
        raise RecipeError(f"judge is to look for {list(words)!r}", expected="words that are not empty, for yes and no")
    found: set[String] = set()
    for word in words:
        single = set() if exact else _spellings(word, lm)
        found |= single or {tuple(place.encode([word], special=True)[0])}
    return found


def _spellings(word: str, lm: Policy) -> set[String]:
    """The spellings of a word that are one token."""
    texts = {space + form for space in ("", " ") for form in (word, word.lower(), word.capitalize(), word.upper())}
    places = (start_of_text(lm.tokenizer), lm.answers)
    return {tuple(row) for place in places for row in place.encode(sorted(texts)) if len(row) == 1}
