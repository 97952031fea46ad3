"""How often a piece of work was tried: on disk, so that what ends the process counts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from sea_toolkit.util import run_files

FILE = ".attempts.json"
"""Hidden: a folder for a new run may hold it."""
ATTEMPTS = 3
"""How often in a row it may end a process at the same place."""


@dataclass
class Attempts:
    """The attempts of one run, or of another piece of work with a folder of its own.

    Attributes:
        deaths: attempts in a row that ended the process without having come further; the one in flight is counted.
        checkpoint: time of the last checkpoint when the last attempt began, by which progress is told.
        errors: of attempts that failed and left the process alive.
    """

    deaths: int = 0
    checkpoint: int = 0
    errors: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> Attempts:
        """Those of the run in a folder.

        Raises:
            SeaError: the file is damaged.
        """
        path = folder / FILE
        return cls(**run_files.read_sealed(path)) if path.exists() else cls()

    @property
    def count(self) -> int:
        """How many there were, about: deaths before the last progress are forgotten."""
        return self.deaths + len(self.errors)

    @property
    def are_over(self) -> bool:
        """Whether it is not to be tried again."""
        return self.deaths >= ATTEMPTS or len(self.errors) >= ATTEMPTS

    @property
    def why(self) -> str:
        """Why there is no answer."""
        return self.errors[-1] if self.errors else f"it ended the process {self.deaths} times"

    def begin(self, folder: Path, checkpoint: str = run_files.CHECKPOINT) -> None:
        """Count one more; it is taken back if the attempt ends in another way than the process.

        Args:
            folder: of the work.
            checkpoint: the file whose time tells whether it has come further.
        """
        saved = folder / checkpoint
        now = saved.stat().st_mtime_ns if saved.exists() else 0
        self.deaths = 1 if now != self.checkpoint else self.deaths + 1
        self.checkpoint = now
        self.write(folder)

    def survived(self, folder: Path, error: str | None = None) -> None:
        """The process is still there: Ctrl-C, or an error."""
        self.deaths -= 1
        if error is not None:
            self.errors.append(error)
        self.write(folder)

    def write(self, folder: Path) -> None:
        """Raises: SeaError if the folder cannot be written."""
        run_files.write_sealed(folder / FILE, asdict(self))
