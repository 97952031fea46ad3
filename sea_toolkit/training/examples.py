"""From rows to examples: labelled texts or preference pairs, each with its group."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sea_toolkit.errors import RecipeError
from sea_toolkit.util.tables import Source, column, read_rows

LAST_TURN = "\n\nAssistant:"
_YES, _NO = {"1", "1.0", "true"}, {"0", "0.0", "false"}


@dataclass(frozen=True)
class Examples:
    """Labelled texts (`texts[i]` with `labels[i]`) or pairs (`texts[i]` preferred to `others[i]`).

    `groups[i]`: examples with the same group fall into the same split. `sources[i]`: name of the file. `ratings[i]`:
    the number that the label was made of, else the label.
    """

    texts: list[str]
    others: list[str]
    labels: list[int]
    groups: list[str]
    sources: list[str]
    ratings: list[float]

    @classmethod
    def joined(cls, parts: Sequence[Examples]) -> Examples:
        """The examples of several files, in order."""
        whole = cls([], [], [], [], [], [])
        for part in parts:
            whole.texts.extend(part.texts)
            whole.others.extend(part.others)
            whole.labels.extend(part.labels)
            whole.groups.extend(part.groups)
            whole.sources.extend(part.sources)
            whole.ratings.extend(part.ratings)
        return whole

    @property
    def pairs(self) -> bool:
        """Whether these are preference pairs."""
        return bool(self.others)

    def __len__(self) -> int:
        return len(self.texts)


def read_examples(
    sources: Sequence[Source],
    kind: Literal["auto", "labels", "pairs"],
    max_rows: int,
    seed: int,
    at_least: int = 40,
) -> Examples:
    """Read and join all sources.

    Args:
        sources: data files.
        kind: "auto" takes pairs if the first file has the column `chosen`.
        max_rows: at most this many examples of each file, drawn at random (a file's `rows` wins).
        seed: of that draw.
        at_least: fewer examples (or fewer of a class than a quarter of it) are refused.

    Raises:
        RecipeError: see `read_rows`; also too few rows, one class only, labels that are not understood.
    """
    parts = []
    for number, source in enumerate(sources):
        rows = read_rows(source)
        if kind == "auto":
            kind = "pairs" if source.get("chosen", "chosen") in rows[0] else "labels"
        part = _pairs(source, rows) if kind == "pairs" else _labelled(source, rows)
        parts.append(_drawn(part, _number(source, "rows", max_rows), random.Random(f"{seed}/{number}")))
    joined = Examples.joined(parts)
    names = ", ".join(str(s.path) for s in sources)
    if len(joined) < at_least:
        raise RecipeError(f"{names}: {len(joined)} usable rows", expected=f"at least {at_least}")
    if not joined.pairs:
        good = sum(joined.labels)
        if min(good, len(joined) - good) < at_least // 4:
            raise RecipeError(
                f"{names}: {good} positive and {len(joined) - good} negative texts",
                expected=f"two classes with at least {at_least // 4} each",
                hint="check --positive or --threshold",
            )
    return joined


def _labelled(source: Source, rows: list[dict[str, Any]]) -> Examples:
    texts = [_string(source, t, i) for i, t in enumerate(column(source, rows, source.get("text", "text") or ""), 1)]
    if (fixed := source.get("all")) is not None:
        if fixed not in ("0", "1"):
            raise RecipeError(f"{source.path}: all={fixed}", expected="all=0 or all=1")
        labels: list[int | None] = [int(fixed)] * len(texts)
        ratings = [float(fixed)] * len(texts)
    else:
        labels, ratings = _labels(source, column(source, rows, source.get("label", "label") or ""))
    name = source.get("group")
    groups = [str(g) for g in column(source, rows, name)] if name else [t.strip().lower() for t in texts]
    kept = [i for i, y in enumerate(labels) if y is not None and texts[i].strip()]
    return Examples(
        [texts[i] for i in kept],
        [],
        [int(labels[i] or 0) for i in kept],
        [groups[i] for i in kept],
        [source.path.name] * len(kept),
        [ratings[i] for i in kept],
    )


def _labels(source: Source, values: list[Any]) -> tuple[list[int | None], list[float]]:
    """1, 0 or None (in neither class) for each value, and the rating behind it, or the label again."""
    words = [str(int(v) if isinstance(v, bool) else v).strip() for v in values]
    if (positive := source.get("positive")) is not None:
        yes, negative = set(positive.split("+")), source.get("negative")
        no = set(negative.split("+")) if negative is not None else set(words) - yes
        return _rated([1 if w in yes else 0 if w in no else None for w in words])
    if source.get("threshold") is not None:
        cut, gap = _number(source, "threshold", 0.0), _number(source, "gap", 0.0)
        try:
            ratings = [float(w) for w in words]
        except ValueError as error:
            raise RecipeError(f"{source.path}: a rating is not a number ({error})", hint="use --positive") from error
        return [1 if r > cut + gap else 0 if r < cut - gap else None for r in ratings], ratings
    lowered = [w.lower() for w in words]
    if set(lowered) <= _YES | _NO:
        return _rated([int(w in _YES) for w in lowered])
    shown = sorted(set(words))
    raise RecipeError(
        f"{source.path}: the labels are {', '.join(shown[:8])}{' …' if len(shown) > 8 else ''}",
        expected="0 and 1",
        hint="--positive VALUE (or VALUE+VALUE) for names, --threshold NUMBER for ratings",
    )


def _rated(labels: list[int | None]) -> tuple[list[int | None], list[float]]:
    return labels, [float(label or 0) for label in labels]


def _pairs(source: Source, rows: list[dict[str, Any]]) -> Examples:
    chosen, rejected = (
        [_string(source, t, i) for i, t in enumerate(column(source, rows, source.get(key, key) or ""), 1)]
        for key in ("chosen", "rejected")
    )
    name = source.get("group")
    groups = [str(g) for g in column(source, rows, name)] if name else None
    texts, others, kept = [], [], []
    for i, (good, bad) in enumerate(zip(chosen, rejected, strict=True)):
        good_prompt, good_answer = last_turn(good)
        bad_prompt, bad_answer = last_turn(bad)
        if good_answer.strip() and bad_answer.strip() and good_answer != bad_answer:
            texts.append(good_answer)
            others.append(bad_answer)
            # the first question of a dialogue: variants of it must not be split
            prompt = (good_prompt or bad_prompt).partition(LAST_TURN)[0]
            kept.append(groups[i] if groups else prompt or good_answer)
    return Examples(texts, others, [], kept, [source.path.name] * len(kept), [])


def last_turn(dialogue: str) -> tuple[str, str]:
    """A `\\n\\nHuman: … \\n\\nAssistant: …` transcript as (before, last answer); else ("", text)."""
    before, marker, answer = dialogue.rpartition(LAST_TURN)
    return (before, answer.strip()) if marker else ("", dialogue)


def _drawn(part: Examples, limit: float, generator: random.Random) -> Examples:
    n = len(part)
    if limit < 1:
        raise RecipeError(f"rows = {limit:g}", expected="at least 1")
    if n <= limit:
        return part
    kept = sorted(generator.sample(range(n), int(limit)))
    return Examples(*([values[i] for i in kept] if values else [] for values in vars(part).values()))


def _string(source: Source, value: Any, row: int) -> str:
    if not isinstance(value, str):
        raise RecipeError(f"{source.path}: the text of row {row} is a {type(value).__name__}", expected="a string")
    return value


def _number(source: Source, key: str, default: float) -> float:
    value = source.get(key)
    if value is None:
        return default
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecipeError(f"{source.path}: {key} = {value!r}", expected="a number")
    return number
