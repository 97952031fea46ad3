"""A page about what a folder holds: a run, a comparison or a sweep over weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.reporting.page.comparison_page import comparison_page
from sea_toolkit.reporting.page.front_page import front_page
from sea_toolkit.reporting.page.render import require_report
from sea_toolkit.reporting.page.run_page import run_page
from sea_toolkit.runs.folder import lock_name
from sea_toolkit.runs.result import Result, plain
from sea_toolkit.runs.stored import StoredRun
from sea_toolkit.util import run_files
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.locks import is_held
from sea_toolkit.util.wording import counted


def write_report(folder: str | PathLike[str], to: str | PathLike[str] = "report.html") -> Path:
    """Write a page about the folder of a run, a comparison or a sweep: one file of HTML that needs no other.

    A run that has not ended is shown as far as it is. No model is loaded, and the folder is not changed.

    Args:
        folder: made by `align`, `compare` or `pareto` with `out`.
        to: the file that is written.

    Returns:
        The file.

    Raises:
        RecipeError: the folder is none of these, or the file would be a folder, or one of the folder's own.
        SeaError: the folder is damaged, the file cannot be written, or the extra `report` is not installed.
    """
    source, target = Path(folder), Path(to)
    page = _kind(source)
    refuse_target(source, target)
    try:
        content = page(source).encode(errors="replace")
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise SeaError(
            f"{source} cannot be shown: it lacks something, or holds something else than was written ({error!r})",
            expected="the files as they were written",
        ) from error
    try:
        write_whole(target, content)
    except OSError as error:
        raise SeaError(f"cannot write {target}: {error.strerror or error}", hint="another file (-o)") from error
    return target


def _kind(folder: Path) -> Callable[[Path], str]:
    for name, page in ((run_files.RECIPE, _run), (run_files.PLAN, _comparison), (run_files.FRONT, _front)):
        if (folder / name).exists():
            return page
    if (folder / run_files.MANY).exists():
        runs = sorted(folder.glob("shards/*/"))
        raise RecipeError(
            f"{folder} holds many prompts, in {counted(len(runs), 'run')} that are done, and a page shows one run",
            expected="one of its runs" if runs else "a run that is done",
            hint=(f"sea-toolkit report {runs[0]}; " if runs else f"sea-toolkit status {folder}; ")
            + f"all answers in one table: sea-toolkit merge {folder} --to results.jsonl",
        )
    what = f"{folder} is no folder" if not folder.is_dir() else f"{folder} holds no run, comparison or sweep"
    raise RecipeError(what, expected="the folder of align, compare or pareto (--out)")


def refuse_target(folder: Path, target: Path) -> None:
    """What can be said before there is anything to show.

    Raises:
        RecipeError: the file would be a folder, or one of the folder's own.
        SeaError: the extra `report` is not installed.
    """
    require_report()
    if target.is_dir():
        raise RecipeError(f"{target} is a folder", expected="a file to write (-o)")
    if target.name in run_files.NAMES and target.parent.resolve() == folder.resolve():
        raise RecipeError(f"{target} is a file of the run", expected="another name (-o)")


def _run(folder: Path) -> str:
    stored = StoredRun.read(folder)
    status = stored.status or ("running" if is_held(lock_name(folder)) else "unfinished")
    archives = [] if stored.facts is None else stored.facts["archives"]
    data = {
        "folder": str(folder),
        "status": status,
        "step": stored.step,
        "length": stored.length,
        "recipe": stored.saved.recipe.model_dump(mode="json", exclude_none=True),
        "manifest": stored.manifest,
        "prompts": [prompt.to_data() for prompt in stored.saved.prompts],
        "answers": [_answer(result) for result in stored.results],
        "starts": [archive["starts"][0] for archive in archives],
        "best": stored.best,
        "trace": _lines(folder / run_files.TRACE),
    }
    return run_page(plain(data))


def _comparison(folder: Path) -> str:
    plan = run_files.read_sealed(folder / run_files.PLAN)
    rows = _lines(folder / run_files.ROWS)
    report = run_files.read_json(folder / run_files.RESULTS)
    return comparison_page({"folder": str(folder), "report": report, "prompts": plan["fixed"]["prompts"], "rows": rows})


def _front(folder: Path) -> str:
    return front_page({"folder": str(folder), "report": run_files.read_json(folder / run_files.RESULTS)})


def _answer(result: Result) -> dict[str, Any]:
    """The result as plain data, with the reasons why its answer won."""
    why = result.explain()
    candidates = [{**asdict(c), "why": "chosen" if c.decision is None else c.decision.why} for c in why.candidates]
    words = {
        key: None if decision is None else decision.words
        for key, decision in (("over_start", why.over_start), ("runner_up", why.runner_up))
    }
    return {**result.to_dict(), "why": {**words, "same": why.same, "candidates": candidates}}


def _lines(path: Path) -> list[Any]:
    """The lines of a file as far as they are whole: a run may be writing the next one."""
    if not path.exists():
        return []
    lines = []
    for line in run_files.read_bytes(path).split(b"\n")[:-1]:
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines
