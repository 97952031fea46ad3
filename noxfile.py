"""The sessions `demo`, `tests`, `hosts`, `lint`, `docs`, `wheel`, `lowest`, `lock`; each makes its own environment."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"  # reads dependency groups
nox.options.sessions = ["tests", "lint"]
nox.options.reuse_venv = "yes"  # torch is large; `nox --reuse-venv=no` starts afresh

PINS = "constraints.txt"
ASK = ["Describe the sea in one sentence.", "--reward", "sentiment=8"]
ASK += ["--seed", "3", "--max-new-tokens", "20", "--budget", "12"]


PROJECT = nox.project.load_toml("pyproject.toml")
HEAVY = {"torch", "transformers", "accelerate", "gguf", "safetensors", "tokenizers", "huggingface_hub", "jaxtyping"}
"""What a list of plugins does not need."""


def group(*names: str) -> list[str]:
    """The requirements of dependency groups."""
    return list(nox.project.dependency_groups(PROJECT, *names))


def install(session: nox.Session, *extras: str, groups: Sequence[str] = ()) -> None:
    """Install the working tree with the pinned versions; torch by itself first, in the platform's build."""
    torch = re.search(r"^torch==\S+", Path(PINS).read_text(encoding="utf-8"), re.MULTILINE)
    if torch is None:
        session.error(f"{PINS} pins no torch")
    session.install(torch.group())
    session.install("-c", PINS, "-e", f".[{','.join(extras)}]" if extras else ".", *group(*groups))


@nox.session
def demo(session: nox.Session) -> None:
    """Fetch the small model and align one answer; `nox -s demo -- "Your prompt" --reward sentiment=8`."""
    install(session)
    session.run("sea-toolkit", "models", "pull", "smollm2-135m")
    session.run("sea-toolkit", "align", *(session.posargs or ASK))


@nox.session
def tests(session: nox.Session) -> None:
    """Run the suite, real model included; `nox -s tests -- tests/schedules -k cosine` runs a part of it."""
    install(session, "serve", "math", "ray", "data", groups=["test"])
    # files go to the workers in the order of tests/conftest.py, long ones first, rather than by their numbers of tests
    session.run("pytest", "-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder", *session.posargs)


@nox.session
def hosts(session: nox.Session) -> None:
    """The tests that need lm-evaluation-harness and Inspect, with the real ones: 800 MB that the suite does without."""
    install(session, "math", groups=["test"])
    session.install("-c", PINS, "lm-eval", "inspect-ai")
    session.run("pytest", "-rs", *(session.posargs or ["tests/integrations"]))


@nox.session
def lint(session: nox.Session) -> None:
    """Check formatting, lint rules, types, and that no import runs up through the rooms."""
    install(session, "serve", groups=["lint", "test"])
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into site/; a broken link fails. The sources are read, not imported."""
    session.install("-c", PINS, *group("docs"))
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, check its page, and list the plugins with it: without torch, and with the lowest versions."""
    dist = Path(session.create_tmp()).resolve() / "dist"
    session.install("-c", PINS, "build", "twine")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(dist))
    newest = max(dist.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    session.run("twine", "check", "--strict", str(newest))
    light = [need for need in PROJECT["project"]["dependencies"] if re.split("[<>=~]", need)[0] not in HEAVY]
    for needs in (light, [need.replace(">=", "==") for need in light]):
        session.install("--force-reinstall", "--no-deps", str(newest))
        session.install(*(["-c", PINS] if needs is light else []), *needs)
        with session.chdir(dist):  # not the sources
            session.run("sea-toolkit", "--help", silent=True)
            session.run("sea-toolkit", "list-plugins", silent=True)


@nox.session
def lowest(session: nox.Session) -> None:
    """A part of the suite with the lowest versions that pyproject.toml allows, which uv chooses."""
    session.install("uv")
    found = Path(session.create_tmp()).resolve() / "lowest.txt"
    session.run("uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "pyproject.toml", "-o", str(found))
    session.install("-r", str(found), "-e", ".", "pytest", "hypothesis", "beartype")
    parts = ["tests/core", "tests/lm", "tests/problem", "tests/runs/test_manifest.py"]
    session.run("pytest", "-m", "not real_model", *(session.posargs or parts))


@nox.session
def lock(session: nox.Session) -> None:
    """Write requirements.lock: the package with all extras, every platform, with hashes; `-- --upgrade` for newer."""
    session.install("uv")
    flags = ["--quiet", "--universal", "--generate-hashes", "--no-annotate", "--python-version", "3.11"]
    flags += ["--custom-compile-command", "nox -s lock", "-c", PINS, "--all-extras", "-o", "requirements.lock"]
    session.run("uv", "pip", "compile", "pyproject.toml", *flags, *session.posargs)
