"""The results of many prompts as one table: a row per prompt, means at the end; and the same as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

Answer = dict[str, Any]
"""The plain data of one result, as in `result.json`."""

FEW = 5
"""Most prompts whose answers are shown one by one."""


def changes(answer: Answer) -> list[str]:
    """What a person should look at, in a word each: `unchanged`, `fell: LABEL`, `unmet: LABEL`, `cut`."""
    words = ["unchanged"] if answer["response"] == answer["base_response"] else []
    words += [f"fell: {k}" for k in answer["rewards"] if (answer["contributions"][k] or 0.0) > 0.0]
    words += [f"unmet: {k}" for k in answer["unmet"]]
    return words + ([] if answer["finished"]["after"] else ["cut"])


def answers_table(answers: Sequence[Answer]) -> tuple[list[str], list[list[str]]]:
    """Titles and rows: prompt, answer, rewards and −log π per token before and after, ended; means in the last row."""
    titles = ["prompt", "answer", *answers[0]["rewards"], "−log π per token", "ended", "look at"]
    rows = []
    for answer in answers:
        pairs = [*answer["rewards"].values(), answer["nll_per_token"]]
        ended = "yes" if answer["finished"]["after"] else "no"
        text = answer["response"] + ("" if answer["finished"]["after"] else "…")
        rows.append([answer["prompt"], text, *map(_arrow, pairs), ended, ", ".join(changes(answer))])
    keys = list(answers[0]["rewards"])
    means = [_mean([a["rewards"][k] for a in answers]) for k in keys] + [_mean([a["nll_per_token"] for a in answers])]
    ended = sum(a["finished"]["after"] for a in answers)
    flagged = sum(bool(changes(a)) for a in answers)
    last = [
        f"mean of {len(answers)}",
        "",
        *map(_arrow, means),
        f"{ended} of {len(answers)}",
        f"{flagged} with a remark",
    ]
    return titles, [*rows, last]


def answers_csv(answers: Sequence[Answer]) -> str:
    """A line per prompt with everything that has one number or one text; pairs are two columns, before and after."""
    rows = []
    for answer in answers:
        row: dict[str, Any] = {k: answer[k] for k in ("prompt", "base_response", "response")}
        for kind in ("rewards", "terms"):
            row |= _columns({f"{kind[:-1]} {k}": pair for k, pair in answer[kind].items()})
        row |= _columns({k: answer[k] for k in ("energy", "nll_per_token", "finished")})
        row |= {f"contribution {k}": v for k, v in answer["contributions"].items()}
        row |= {"unmet": "; ".join(f"{k}: {v}" for k, v in answer["unmet"].items())}
        row |= {k: answer[k] for k in ("met", "sampler", "steps", "seed", "status")}
        rows.append(row | {"notes": "\n".join(answer["notes"])})
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(k for row in rows for k in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def shared_notes(notes: Sequence[Sequence[str]]) -> list[str]:
    """Those that all results of a run have, each once: notes of the run rather than of a prompt."""
    return [note for note in dict.fromkeys(notes[0] if notes else ()) if all(note in of_one for of_one in notes)]


def _columns(pairs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {f"{name} {when}": pair[when] for name, pair in pairs.items() for when in ("before", "after")}


def _arrow(pair: dict[str, float | None]) -> str:
    return " → ".join("–" if v is None else f"{v:.2f}" for v in (pair["before"], pair["after"]))


def _mean(pairs: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Over the prompts that have both."""
    known = [p for p in pairs if None not in p.values()]
    return {k: sum(p[k] or 0.0 for p in known) / len(known) if known else None for k in ("before", "after")}
