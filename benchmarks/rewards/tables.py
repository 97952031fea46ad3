"""Tables and the figure of the test bed: `python benchmarks/rewards/tables.py results --default tilted`.

A reward is given in standard deviations of the policy's own answers above their mean, and so is what a judge says, by
the spread of what it says of the base answers. An answer that a reward has no value for (an empty one, to a probe)
counts as the policy's mean. Intervals are 95 % bootstraps over prompts; the mean over kinds is taken
for each prompt first. `samples of best-of-n` is how many best-of-n would need for the same mean reward, by linear
interpolation in log n.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from json_lines import answers, lines_of
from kinds import KINDS, Kind
from numpy.typing import NDArray

from sea_toolkit.evaluation.statistics import Bootstrap, Interval, distinct

Cell = tuple[str, float]
"""Method and budget."""
Columns = dict[str, NDArray[np.float64]]
"""`reward`, `judge`, `energy`, `nll`, `samples`, `seconds` → one number per prompt."""

BEST, LARGEST = "best-of-n", 256.0


@dataclass(frozen=True)
class Found:
    """One kind's numbers."""

    kind: Kind
    cells: dict[Cell, Columns]
    texts: dict[Cell, list[str]]


def read(results: Path, name: str) -> Found | None:
    """What `run.py` and `judge.py` left of a kind."""
    kind, rows = KINDS[name], answers(results, name)
    if not rows:
        return None
    setting = json.loads((results / f"{name}.json").read_text(encoding="utf-8"))
    scales = {label: term["deviation"] for label, term in setting["scales"]["terms"].items()}
    signs = dict(zip(scales, kind.signs, strict=True))
    judged = {}
    for entry in lines_of(results / f"{name}-judged.jsonl"):
        judged[entry["text"], entry["finished"]] = [np.nan if v is None else v for v in entry["judges"]]
    by_cell: dict[Cell, dict[int, dict[str, float]]] = defaultdict(dict)
    texts: dict[Cell, list[str]] = defaultdict(list)
    votes: dict[Cell, dict[int, list[float]]] = defaultdict(dict)
    for row in rows:
        cell, prompt = (row["method"], row["budget"]), row["prompt_index"]
        terms = {label: np.nan if value is None else value for label, value in row["terms"].items()}
        by_cell[cell][prompt] = {
            "reward": -sum(signs[label] * terms[label] / scale for label, scale in scales.items()),
            "energy": row["energy"], "nll": row["nll_per_token"], "samples": row["samples"], "seconds": row["seconds"],
        }  # fmt: skip
        votes[cell][prompt] = judged.get((row["text"], row["finished"]), [np.nan] * len(kind.judges))
        texts[cell].append(row["text"])
    base = np.array([votes["base", 1.0][p] for p in sorted(votes["base", 1.0])], dtype=float)
    weights = np.array([weight for _, weight in kind.judges]) / base.std(0).clip(min=1e-9)
    centre = np.nanmean([by_cell["base", 1.0][p]["reward"] for p in by_cell["base", 1.0]])
    whole = max(len(found) for found in by_cell.values())
    cells = {}
    for cell, found in by_cell.items():
        if len(found) < whole:
            continue
        order = sorted(found)
        columns = {key: np.array([found[p][key] for p in order], dtype=float) for key in found[order[0]]}
        columns["reward"] = np.nan_to_num(columns["reward"] - centre)
        columns["judge"] = (np.array([votes[cell][p] for p in order], dtype=float) - base.mean(0)) @ weights
        cells[cell] = columns
    return Found(kind, cells, texts)


def shown(interval: Interval) -> str:
    return f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def signed(interval: Interval) -> str:
    return f"{interval.mean:+.2f} [{interval.low:+.2f}, {interval.high:+.2f}]"


def equivalent(found: Found, cell: Cell) -> str:
    """How many samples best-of-n needs for the cell's mean reward."""
    curve = sorted((b, float(c["reward"].mean())) for (m, b), c in found.cells.items() if m == BEST)
    value = float(found.cells[cell]["reward"].mean())
    if not curve or value > curve[-1][1]:
        return f"> {curve[-1][0]:.0f}" if curve else ""
    if value < curve[0][1]:
        return f"< {curve[0][0]:.0f}"
    return f"{2 ** float(np.interp(value, [v for _, v in curve], [np.log2(b) for b, _ in curve])):.0f}"


def print_kind(name: str, found: Found) -> None:
    """The table of one kind."""
    (prompts,) = {len(columns["reward"]) for columns in found.cells.values()}
    resample = Bootstrap(prompts)
    print(f"\n### {name}: {found.kind.about}, {prompts} prompts\n")
    print("| method | budget | samples | reward | judge | −log π per token | distinct-2 | samples of best-of-n | s |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    for cell, columns in found.cells.items():
        reward, judge = resample.means(np.stack([columns["reward"], columns["judge"]], 1))
        print(
            f"| `{cell[0]}` | {cell[1]:.0f} | {columns['samples'].mean():.1f} | {shown(reward)} | {shown(judge)} | "
            f"{columns['nll'].mean():.2f} | {distinct(found.texts[cell], 2):.3f} | {equivalent(found, cell)} | "
            f"{columns['seconds'].mean():.1f} |"
        )


def print_differences(all_found: dict[str, Found], pairs: Sequence[tuple[Cell, Cell]]) -> None:
    """One cell minus another on the same prompts, for each kind that has both, and the mean over these kinds."""
    (prompts,) = {len(c["reward"]) for f in all_found.values() for c in f.cells.values()}
    resample = Bootstrap(prompts)
    for key in ("reward", "judge"):
        print(f"\n### Differences, {key}\n")
        print("| | " + " | ".join(all_found) + " | mean |")
        print("|---|" + "--:|" * (len(all_found) + 1))
        for a, b in pairs:
            found = {n: f.cells[a][key] - f.cells[b][key] for n, f in all_found.items() if {a, b} <= set(f.cells)}
            found = {name: column for name, column in found.items() if not np.isnan(column).any()}
            if not found:
                continue
            columns = [*found.values(), np.mean(list(found.values()), axis=0)]
            *each, mean = map(signed, resample.means(np.stack(columns, 1)))
            by_kind = dict(zip(found, each, strict=True))
            cells = [by_kind.get(name, "") for name in all_found]
            print(f"| `{a[0]}@{a[1]:.0f}` − `{b[0]}@{b[1]:.0f}` | " + " | ".join([*cells, mean]) + " |")


def plot(all_found: dict[str, Found], methods: Sequence[str], path: Path) -> None:
    """How many samples best-of-n would need, for each kind whose best-of-n goes to `LARGEST`; an arrow: still more."""
    import matplotlib.pyplot as plt

    kinds = {name: found for name, found in all_found.items() if (BEST, LARGEST) in found.cells}
    cells = sorted({cell for found in kinds.values() for cell in found.cells if cell[0] in methods})
    figure, axes = plt.subplots(figsize=(8, 4))
    width = 0.8 / max(1, len(cells))
    for i, cell in enumerate(cells):
        texts = [equivalent(found, cell) if cell in found.cells else "1" for found in kinds.values()]
        places = np.arange(len(kinds)) + (i - (len(cells) - 1) / 2) * width
        bars = axes.bar(places, [float(text.strip("<> ")) for text in texts], width, label=f"{cell[0]}, {cell[1]:.0f}")
        for bar, text in zip(bars, texts, strict=True):
            if text.startswith(">"):
                axes.annotate("↑", (bar.get_x() + width / 2, bar.get_height()), ha="center")
    axes.set_yscale("log", base=2)
    axes.set_ylim(4, 2 * LARGEST)
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.set_ylabel("samples that best-of-n needs")
    axes.set_xticks(np.arange(len(kinds)), list(kinds))
    axes.legend(title="method, samples", fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--default", default="tilted")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--show", default="tilted,smc,args", help="methods in the plot")
    given = parser.parse_args()
    everything = {name: found for name in KINDS if (found := read(given.results, name)) is not None}
    for name, found in everything.items():
        print_kind(name, found)
    others = sorted(
        {cell for found in everything.values() for cell in found.cells if cell[0] not in ("base", given.default)}
    )
    pairs = [((given.default, 8.0), (BEST, 64.0)), ((given.default, 32.0), (BEST, 256.0))]
    pairs += [((given.default, other[1]), other) for other in others]
    print_differences(everything, pairs)
    if given.plot:
        plot(everything, given.show.split(","), given.plot)


if __name__ == "__main__":
    main()
