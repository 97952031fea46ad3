"""The nox sessions `demo`, `tests`, `lint` and `docs`; each makes its own environment, versions pinned."""

from __future__ import annotations

import re
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["tests", "lint"]
nox.options.reuse_venv = "yes"  # torch is large; `nox --reuse-venv=no` starts afresh

PINS = "constraints.txt"
ASK = ["Describe the sea in one sentence.", "--reward", "sentiment=8"]
ASK += ["--seed", "3", "--max-new-tokens", "20", "--budget", "12"]


def install(session: nox.Session, *extras: str) -> None:
    """Install the working tree with the pinned versions; torch by itself first, in the platform's build."""
    torch = re.search(r"^torch==\S+", Path(PINS).read_text(encoding="utf-8"), re.MULTILINE)
    if torch is None:
        session.error(f"{PINS} pins no torch")
    session.install(torch.group())
    session.install("-c", PINS, "-e", f".[{','.join(extras)}]" if extras else ".")


@nox.session
def demo(session: nox.Session) -> None:
    """Fetch the small model and align one answer; `nox -s demo -- "Your prompt" --reward sentiment=8`."""
    install(session)
    session.run("sea-toolkit", "models", "pull", "smollm2-135m")
    session.run("sea-toolkit", "align", *(session.posargs or ASK))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the suite, real model included; `nox -s tests -- tests/schedules -k cosine` runs a part of it."""
    install(session, "test", "serve", "ray", "data")
    session.run("pytest", "-n", "auto", "--dist", "loadfile", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check formatting, lint rules, types, and that no import runs up through the rooms."""
    install(session, "lint", "test", "serve")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a broken link fails. The sources are read, not imported."""
    extras = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
    session.install("-c", PINS, *extras["docs"])
    session.run("mkdocs", "build", "--strict", *session.posargs)
