"""The page of a run: what was gained, how it came about, and what it cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import shortened
from sea_toolkit.reporting.answers import answers_table, changes, shared_notes
from sea_toolkit.reporting.page.heat import heat_maps
from sea_toolkit.reporting.page.numbers import arrow, both_texts, cost_cards, cost_table, table, text_of
from sea_toolkit.reporting.page.render import minus_signs, number, plural, sections_that_fit
from sea_toolkit.reporting.page.steps import Course, means
from sea_toolkit.reporting.run_plot import run_figure
from sea_toolkit.reporting.svg import figure_svg
from sea_toolkit.util.toml_text import document

if TYPE_CHECKING:
    from markupsafe import Markup

Data = Mapping[str, Any]

OPEN = 3
"""Most prompts whose sections are open from the beginning."""

HEAD = 240
"""Characters of a prompt or an answer where it stands among others."""

ROWS = 1000
"""Most prompts in the table of all."""

STORIES = 240_000
"""Characters of what chains were over time, about, all together."""

LONGEST = 6_000
"""The same for one chain."""


def run_page(data: Data) -> str:
    """The page.

    Args:
        data: `folder`, `status`, `step`, `length` (steps and budget), `recipe`, `manifest` (or None), `prompts` (plain
            data of each), `answers` (one per prompt, as in `result.json`, each with its `why`; none for a run that has
            not ended), `starts` and `best` (a candidate for each prompt; none before the first checkpoint), `trace`
            (its lines).
    """
    answers, count = data["answers"], len(data["prompts"])
    shared = shared_notes([answer["notes"] for answer in answers])
    head = {
        "title": f"Run {data['folder']}",
        "status": data["status"],
        "facts": _facts(data),
        "cards": _cards(data),
        "notes": shared,
        "unfinished": None if answers else _unfinished(data),
        "overview": _overview(data),
        "all_steps": None if count < 2 else _mean_figure(data),
        "cost": cost_table(answers[0]["ledger"]) if answers else None,
        "recipe": document(data["recipe"]),
        "manifest": json.dumps(data["manifest"], indent=2, ensure_ascii=False) if data["manifest"] else None,
    }
    return sections_that_fit("run.html", head, "prompt.html", (_prompt(data, p, shared) for p in range(count)), count)


def _facts(data: Data) -> list[str]:
    manifest, length = data["manifest"] or {}, data["length"]
    of = f" of {length['steps']}" if length["steps"] else ""
    facts = [
        f"policy {data['recipe']['policy']['model']}",
        f"sampler {manifest.get('sampler', data['recipe']['sampler']['name'])}",
        f"step {data['step']}{of}" if not data["answers"] else plural(data["answers"][0]["steps"], "step"),
        *([f"budget {length['budget']:g}"] if length["budget"] else []),
        f"seed {data['recipe']['seed']}",
        plural(len(data["prompts"]), "prompt"),
    ]
    if manifest:
        identity = manifest["identity"]
        facts.append(f"{identity['dtype']} on {manifest['device']}, torch {identity['packages']['torch']}")
    return facts


def _cards(data: Data) -> list[tuple[str, str]]:
    if not data["answers"]:
        return []
    titles, rows = answers_table(data["answers"])
    gained = zip(titles[2:-1], map(minus_signs, rows[-1][2:-1]), strict=True)
    return [*gained, *cost_cards(data["answers"][0]["ledger"])]


def _unfinished(data: Data) -> dict[str, Any]:
    return {"step": data["step"], "steps": data["length"]["steps"], "folder": data["folder"], "status": data["status"]}


def _overview(data: Data) -> dict[str, Any] | None:
    """A row for each prompt, its first cell leads to the prompt's section."""
    if data["answers"]:
        titles, rows = answers_table(data["answers"])
        rows = [[*(shortened(text, HEAD) for text in row[:2]), *map(minus_signs, row[2:-1]), row[-1]] for row in rows]
        shown, last = rows[:-1][:ROWS], rows[-1]
    elif data["best"]:
        titles = ["prompt", "best so far", "energy"]
        pairs = zip(data["prompts"], data["best"], strict=True)
        rows = [
            [shortened(text_of(prompt), HEAD), shortened(best["text"], HEAD), number(best["energy"])]
            for prompt, best in pairs
        ]
        shown, last = rows[:ROWS], None
    else:
        return None
    more = len(data["prompts"]) - len(shown)
    return {**table(titles, shown, "All prompts", words=2), "last": last, "more": more}


def _prompt(data: Data, p: int, shared: list[str]) -> dict[str, Any]:
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
        "figure": _figure(course, weights, f"Prompt {p + 1}: energies and terms over the steps"),
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
    return table(titles, rows, f"The best {shown} of {plural(kept, 'text')} kept; {answer['met']:,} were met")


def _figure(course: Course, weights: Data, title: str) -> Markup | None:
    lines = {f"chain {c}": chain.energy for c, chain in enumerate(course.chains, 1)}
    return _drawn(course.steps, lines, course.lowest, course.mean_terms(weights), bool(weights), title)


def _mean_figure(data: Data) -> Markup | None:
    """The same, as the mean over all prompts."""
    courses = [Course.of(data["trace"], p) for p in range(len(data["prompts"]))]
    weights = [answer["weights"] for answer in data["answers"]] or [{} for _ in courses]
    terms = [course.mean_terms(own) for course, own in zip(courses, weights, strict=True)]
    return _drawn(
        courses[0].steps,
        {"mean of the chains": means([chain.energy for course in courses for chain in course.chains])},
        means([course.lowest for course in courses]),
        {label: means([own[label] for own in terms]) for label in terms[0]},
        bool(data["answers"]),
        f"Mean of {len(courses)} prompts: energies and terms over the steps",
    )


def _drawn(
    steps: list[int], lines: Data, best: list[float | None], terms: Data, weighted: bool, title: str
) -> Markup | None:
    from markupsafe import Markup

    if len(steps) < 2:
        return None
    axis = "weight · term, mean of chains" if weighted else "term, mean of chains"
    data = {"steps": steps, "lines": lines, "best": best, "terms": terms, "terms_title": axis}
    return Markup(figure_svg(data, run_figure, title))
