"""Wheels built from projects, and fresh environments to install them into; torch and the rest are lent by this one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "plugins"

BUILD = """
import os, sys
from hatchling.build import build_wheel

for project in sys.argv[2:]:
    os.chdir(project)
    build_wheel(sys.argv[1])
"""

EACH = """
import json, sys
from sea_toolkit.cli import main

for i, command in enumerate(json.loads(sys.argv[1])):
    print(end="\\0" if i else "")
    main(command, standalone_mode=False)
"""
"""Commands of `sea-toolkit`; a zero byte between what they print."""

UNREACHABLE = ("Retrying (", "NewConnectionError", "ConnectTimeoutError", "Temporary failure", "--no-index")
"""What pip says when there is no index to ask."""


def build(projects: Sequence[Path], dist: Path) -> list[Path]:
    """A wheel of each project, in one process."""
    command = [sys.executable, "-c", BUILD, str(dist), *map(str, projects)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wheels = sorted(dist.glob("*.whl"))
    assert len(wheels) == len(projects)
    return wheels


class Environment:
    """A virtual environment that also sees what this one has installed, and this checkout.

    Args:
        folder: where to make it.
    """

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False)
        scripts = "Scripts" if os.name == "nt" else "bin"
        self.folder, self.python = folder, folder / scripts / "python"
        self.cache = folder / "cache"
        (self.packages,) = folder.glob("[Ll]ib/**/site-packages")
        lent = [str(ROOT), *(path for path in sys.path if path and Path(path).is_dir())]
        (self.packages / "lent.pth").write_text("\n".join(lent) + "\n", encoding="utf-8")

    def run(self, *arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run its Python; the plugins of the outer environment do not count, the model's cache does not either."""
        unwanted = ("PYTHONPATH", "SEA_PLUGINS", "SEA_TENSORBOARD")
        environment = {k: v for k, v in os.environ.items() if k not in unwanted}
        environment |= {"SEA_CACHE": str(self.cache), "PYTHONDONTWRITEBYTECODE": "1", **variables}
        command = [str(self.python), *arguments]
        return subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=500, check=False
        )

    def pip(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`pip install` into it."""
        options = ("--quiet", "--no-compile", "--disable-pip-version-check")
        return self.run("-m", "pip", "install", *options, *arguments)

    def install(self, wheels: Iterable[Path]) -> None:
        """Install wheels as they are."""
        done = self.pip("--no-index", "--no-deps", *map(str, wheels))
        assert done.returncode == 0, done.stderr

    def unpack(self, wheels: Iterable[Path]) -> None:
        """Install wheels of pure Python without pip, one after the other: their files, where they belong."""
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(self.packages)

    def fetch(self, requirements: Iterable[str]) -> None:
        """Install from the package index; without one, the test is skipped."""
        done = self.pip("--retries", "1", "--timeout", "20", *requirements)
        if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
            pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")
        assert done.returncode == 0, done.stderr

    def sea(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run `sea-toolkit`."""
        return self.run("-m", "sea_toolkit.cli", *arguments, **variables)

    def sea_each(self, *commands: Sequence[str], **variables: str) -> list[str]:
        """What each of several `sea-toolkit` commands prints, run in one process: torch is imported once."""
        done = self.run("-c", EACH, json.dumps(commands), **variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\0")

    def pytest(self, *folders: Path) -> subprocess.CompletedProcess[str]:
        """Run the tests in these folders, in one process."""
        options = ["-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", str(self.folder)]
        return self.run("-m", "pytest", *options, *map(str, folders), cwd=self.folder)


def copy_project(name: str, target: Path) -> Path:
    """A package of `plugins/`, without what builds and tests may have left in it."""
    ignore = shutil.ignore_patterns("__pycache__", "dist", "build", "*.egg-info", ".*_cache")
    return Path(shutil.copytree(PLUGINS / name, target / name, ignore=ignore))
