"""A run's folder, checked before anything of it is believed, without torch and without any model."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.runs.checkpoint_file import facts_of, read_checkpoint_file
from sea_toolkit.runs.folder import SavedRun
from sea_toolkit.runs.result import Result
from sea_toolkit.runs.trace_file import part_of_trace
from sea_toolkit.util import run_files

_AGAIN = "remove ended.json (and result.json): sea-toolkit resume makes both again"


@dataclass(frozen=True)
class StoredRun:
    """What the folder of a run holds; every file in it is as it was written.

    Attributes:
        saved: what the run was asked for.
        manifest: who took part; None if the run was killed before it began.
        facts: the states of the run's parts at its last checkpoint, without tensors; None if there is none.
        status: how it ended the last time ("done", "stopped", "interrupted", "failed"); None if it runs or was killed.
        results: one per prompt if it ended, else none.
    """

    saved: SavedRun
    manifest: dict[str, Any] | None
    facts: dict[str, Any] | None
    status: str | None
    results: list[Result]

    @property
    def step(self) -> int:
        """Steps done at the last checkpoint."""
        return 0 if self.facts is None else int(self.facts["position"]["step"])

    @property
    def length(self) -> dict[str, Any]:
        """`steps` and `budget` of the whole run; None where there is no such limit, or it is not settled yet."""
        spec = self.saved.recipe.sampler
        planned = {"steps": spec.steps, "budget": spec.budget}
        if self.manifest is None:
            return planned
        last = [self.manifest["length"], *self.manifest.get("prolonged", [])][-1]
        return {key: last[key] for key in planned}

    @property
    def best(self) -> list[dict[str, Any]]:
        """The best candidate of each prompt at the last checkpoint; none before the first."""
        archives = [] if self.facts is None else self.facts["archives"]
        return [dict((archive["best"] or archive["starts"])[0]) for archive in archives]

    @classmethod
    def read(cls, folder: Path) -> StoredRun:
        """Read and check a run's folder.

        Raises:
            SeaError: it is not the folder of a run; a file is missing, damaged, edited or of another run.
        """
        saved = SavedRun.read(folder)
        runs = {run_files.RECIPE: saved.digest}
        manifest = facts = None
        if (folder / run_files.MANIFEST).exists():
            manifest = run_files.read_sealed(folder / run_files.MANIFEST)
            runs[run_files.MANIFEST] = manifest["run"]
        if (folder / run_files.CHECKPOINT).exists():
            _, metadata = read_checkpoint_file(folder / run_files.CHECKPOINT)
            facts, runs[run_files.CHECKPOINT] = facts_of(metadata), metadata["run"]
        ended = None
        if (folder / run_files.ENDED).exists():
            ended = run_files.read_sealed(folder / run_files.ENDED, _AGAIN)
            runs[run_files.ENDED] = ended["run"]
        _refuse_mixture(folder, runs)
        if facts is not None:
            if manifest is None:
                raise SeaError(f"{folder / run_files.MANIFEST} is missing", hint="bring the file back")
            part_of_trace(folder / run_files.TRACE, facts["trace"])
        if ended is None:
            return cls(saved, manifest, facts, None, [])
        return cls(saved, manifest, facts, ended["status"], _results(folder, ended))


def finished(folder: Path) -> StoredRun | None:
    """A run that is done; None if it is not. No lock is needed: nobody works on it.

    Raises:
        SeaError: see `StoredRun.read`.
    """
    if not (folder / run_files.ENDED).exists():
        return None
    stored = StoredRun.read(folder)
    return stored if stored.status == "done" else None


def write_end(folder: Path, run: str, status: str, results: list[Result], trace: dict[str, Any]) -> None:
    """Write the results and then the hashes that tie them to their run.

    Args:
        folder: of the run.
        run: what it was asked for, as a hash: see `request_digest`.
        status: how it ended.
        results: one per prompt.
        trace: its state, see `Trace`.

    Raises:
        SeaError: the folder cannot be written, or the disk is full.
    """
    content = run_files.to_json([result.to_data() for result in results])
    run_files.write_run_file(folder / run_files.RESULT, content)
    ended = {"status": status, "run": run, "result": hashlib.sha256(content).hexdigest(), "trace": trace}
    run_files.write_sealed(folder / run_files.ENDED, ended)


def _results(folder: Path, ended: dict[str, Any]) -> list[Result]:
    path = folder / run_files.RESULT
    if not path.exists():
        raise run_files.damaged(path, "it is missing", _AGAIN)
    if hashlib.sha256(run_files.read_bytes(path)).hexdigest() != ended["result"]:
        raise run_files.damaged(path, "its SHA-256 is another one", _AGAIN)
    part_of_trace(folder / run_files.TRACE, ended["trace"])
    return [Result.from_data(data) for data in run_files.read_json(path)]


def _refuse_mixture(folder: Path, runs: dict[str, str]) -> None:
    """Files of several runs in one folder: the one that is alone is named, else the recipe."""
    if len(set(runs.values())) == 1:
        return
    shared, times = Counter(runs.values()).most_common(1)[0]
    odd = next(name for name, run in runs.items() if run != shared) if times > 1 else run_files.RECIPE
    raise SeaError(
        f"{folder / odd} is damaged or was edited: it is of another run than {', '.join(n for n in runs if n != odd)}",
        expected="the files of one run",
        hint="bring the file back, or start the run again in another folder",
    )
