"""The report of a sweep over weights as tables: Markdown for a file, and the same cells for a terminal."""

from __future__ import annotations

from typing import Any

from sea_toolkit.reporting.tables import FEWEST, Table, interval, page, plain

_METRICS = ("hypervolume", "mean inner product")


def front_caption(data: dict[str, Any]) -> list[str]:
    """How to read the tables, in full sentences."""
    n, asked = data["prompts"], data["prompts_asked"]
    covered = f"{n} prompts" if n == asked else f"the first {n} of {asked} prompts (not finished)"
    lines = [
        f"Over {covered}, {len(data['weights'])} weights ({data['design']}), {data['strength']:g} nats for each unit "
        f"of an objective, at most {data['recipe']['max_new_tokens']} new tokens. Every text met under any weight is a "
        "candidate for all; the answer for a weight is the text of its lowest re-scored energy."
    ]
    if data["objectives"]:
        points = ", ".join(
            f"{o['label']} ({o['better']} is better) {o['reference']:.4g}, unit {o['unit']:.4g}"
            for o in data["objectives"]
        )
        lines.append(
            f"Hypervolume and mean inner product are in units above the reference point: {points}. The point lies at "
            f"the {data['quantile']:.0%} quantile of {data['answers']} answers of the policy for each prompt, all "
            "prompts together; the unit is the recipe's scale, or else the standard deviation of the answers to a "
            "prompt. Both are the same for all methods."
        )
    lines.append(
        f"In brackets: 95 % percentile bootstrap over prompts, {data['bootstrap']['resamples']} resamples. "
        "A star stands where no other weight of the method is better on average in everything."
    )
    if data["limits"]:
        lines.append(f"Texts outside of a limit ({', '.join(data['limits'])}) count only where a prompt has no other.")
    if n < FEWEST:
        lines.append(f"With fewer than {FEWEST} prompts no difference is called one.")
    return lines


def front_table(data: dict[str, Any]) -> Table:
    """A row per method and weight: the answers' objectives, mean over prompts."""
    labels = [o["label"] for o in data["objectives"]]
    rows = []
    for cell in data["cells"]:
        weights = ", ".join(f"{w:.3g}" for w in cell["weights"])
        name = f"{cell['method']} {weights}{' *' if cell['on_front'] else ''}"
        values = [interval(cell["mean"][label]) for label in labels]
        rows.append([name, *values, interval(cell["nll_per_token"])])
    return [f"weights of {', '.join(labels)}", *labels, "−log π per token"], rows


def methods_table(data: dict[str, Any]) -> Table:
    """A row per method: its front as a whole, and what it cost."""
    rows = []
    for method in data["metrics"]["hypervolume"]:
        metrics = [interval(data["metrics"][name][method]) for name in _METRICS]
        spent = data["spent"][method]
        rows.append([
            method, *metrics, plain(data["metrics"]["texts on the front"][method], ".1f"),
            plain(spent["samples"], ".0f"), plain(spent["seconds"], ".1f"), plain(spent["cpu_seconds"], ".1f"),
        ])  # fmt: skip
    return ["method", *_METRICS, "texts on the front", "samples", "seconds", "CPU seconds"], rows


def front_markdown(data: dict[str, Any]) -> str:
    """The whole report."""
    tables = [methods_table(data), front_table(data)] if data["cells"] else []
    return page(front_caption(data), data, tables, "On the same prompts, with paired 95 % intervals:")
