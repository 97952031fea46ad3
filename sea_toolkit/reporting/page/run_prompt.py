"""The section of one prompt on the page of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sea_toolkit.errors import shortened
from sea_toolkit.reporting.answers import changes
from sea_toolkit.reporting.page.heat import heat_maps
from sea_toolkit.reporting.page.numbers import HEAD, arrow, both_texts, table, text_of
from sea_toolkit.reporting.page.render import number
from sea_toolkit.reporting.page.run_figures import prompt_figure
from sea_toolkit.reporting.page.steps import Course
from sea_toolkit.util.wording import counted

Data = Mapping[str, Any]

OPEN = 3
"""Most prompts whose sections are open from the beginning."""

STORIES = 240_000
"""Characters of what chains were over time, about, all together."""

LONGEST = 6_000
"""The same for one chain."""


def prompt_section(data: Data, p: int, shared: list[str]) -> dict[str, Any]:
    """What "prompt.html" shows.

    Args:
        data: see `run_page`.
        p: the prompt's place.
        shared: notes of the run, which are not repeated.
    """
    prompt, answer = data["prompts"][p], data["answers"][p] if data["answers"] else None
    text = text_of(prompt)
    course = Course.of(data["trace"], p)
    chains = len(course.chains)
    room = min(LONGEST, STORIES // max(1, chains * len(data["prompts"])))
    weights = answer["weights"] if answer else {}
    return {
        "place": p + 1,
        "open": len(data["prompts"]) <= OPEN,
        "text": shortened(text, HEAD),
        "whole": text if len(text) > HEAD else None,
        "messages": prompt if isinstance(prompt, list) else [],
        "remarks": changes(answer) if answer else [],
        "gains": [(label, arrow(pair, ".2f")) for label, pair in answer["rewards"].items()] if answer else [],
        "figure": prompt_figure(course, weights, f"Prompt {p + 1}: energies and terms over the steps"),
        "stories": [course.story(chain, room) for chain in range(chains)],
        **(_answered(answer, shared) if answer else _so_far(data, p)),
    }


def _answered(answer: Data, shared: list[str]) -> dict[str, Any]:
    """What the section of a prompt has of its result."""
    finished = [answer["finished"]["before"], answer["finished"]["after"]]
    maps = []
    for title, when in (("Base answer", "before"), ("Aligned answer", "after")):
        if answer["tokens"] is not None and not (when == "before" and answer["why"]["same"]):
            maps.append((title, heat_maps(answer["tokens"][when])))
    why = answer["why"]
    said = ["The run met nothing better than the text that it began with."] if why["same"] else []
    said += [f"Why not the first text: {why['over_start']}."] if why["over_start"] else []
    said += [f"Why not the second best: {why['runner_up']}."] if why["runner_up"] else []
    return {
        "texts": both_texts(answer["base_response"], answer["response"], finished),
        "terms": _terms(answer),
        "why": said,
        "maps": maps,
        "candidates": _candidates(answer),
        "notes": [note for note in answer["notes"] if note not in shared],
    }


def _so_far(data: Data, p: int) -> dict[str, Any]:
    """The same of a run that has not ended."""
    nothing: dict[str, Any] = {"texts": [], "terms": None, "why": [], "maps": [], "candidates": None, "notes": []}
    if not data["best"]:
        return nothing
    start, best = data["starts"][p], data["best"][p]
    rows = [[label, "", number(v), number(best["terms"][label]), ""] for label, v in start["terms"].items()]
    rows.append(["energy", "", number(start["energy"]), number(best["energy"]), ""])
    return nothing | {
        "texts": both_texts(start["text"], best["text"], [start["finished"], best["finished"]]),
        "terms": table(["term, lower is better", "weight", "before", "best so far", ""], rows, "Terms so far"),
    }


def _terms(answer: Data) -> dict[str, Any]:
    rows = []
    for label, pair in answer["terms"].items():
        if label in answer["limits"]:
            continue
        shown = answer["rewards"].get(label, pair)
        kind = "reward" if label in answer["rewards"] else "energy"
        values = [number(shown[when]) for when in ("before", "after")]
        moved = number(answer["contributions"][label], "+.2f")
        rows.append([f"{kind} {label}", number(answer["weights"][label], "g"), *values, moved])
    for label, reading in answer["limits"].items():
        ends = " and ".join(f"{end} {reading[end]:g}" for end in ("min", "max") if reading[end] is not None)
        values = [number(reading[when]) for when in ("before", "after")]
        rows.append([f"limit {label}", ends, *values, "kept" if reading["kept"] else "not kept"])
    for label, key in (("energy", "energy"), ("−log π per token", "nll_per_token")):
        rows.append([label, "", *(number(answer[key][when]) for when in ("before", "after")), ""])
    return table(["term", "weight", "before", "after", "Δ(weight · term)"], rows, "Terms before and after")


def _candidates(answer: Data) -> dict[str, Any]:
    """The best texts that were met: each energy is the sum of its terms."""
    shares = list(answer["why"]["candidates"][0]["shares"])
    limits = list(answer["limits"])
    rows = []
    for c in answer["why"]["candidates"]:
        outside = [("kept" if v == 0 else f"{number(v, '.2g')} σ outside") for v in c["violations"].values()]
        step = "start" if c["step"] < 0 else str(c["step"])
        where = step if c["chain"] < 0 else f"{step}, chain {c['chain'] + 1}"
        rows.append(
            [
                c["text"],
                where,
                number(c["energy"], ".2f"),
                *(number(v, "+.2f") for v in c["shares"].values()),
                *outside,
                c["why"],
            ]
        )
    titles = ["text", "step", "energy", *shares, *(f"limit {label}" for label in limits), "why not"]
    shown, kept = len(rows), len(answer["candidates"])
    return table(titles, rows, f"The best {shown} of {counted(kept, 'text')} kept; {answer['met']:,} were met")
