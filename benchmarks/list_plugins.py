"""How long `sea-toolkit list-plugins --json` takes beside ten third-party wheels, and what it says of each.

    python benchmarks/list_plugins.py [--runs 7]

Five are healthy, three are broken in different ways, two claim the same names. They are built and installed by pip into
a folder of their own; torch and the rest come from the environment that runs this. Prints one JSON object: the median
and all times in seconds of a whole process (Python's start included), and the state and cause of each plugin. The first
process is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ENERGY = '''\
import torch

import sea_toolkit as sea


@sea.hookimpl
def sea_register_energies(register):
    @register("{name}")
    def {function}(response, *, per_token: float = 0.1):
        """Energy per expected token.

        Args:
            per_token: nats that each token costs.
        """
        return per_token * response.expected_length()
'''

HEALTHY = [f"sea-healthy-{i}" for i in range(1, 6)]
CLASHING = ["sea-clash-a", "sea-clash-b"]
BROKEN = {
    "sea-broken-import": "import a_module_that_nobody_has\n",
    "sea-broken-exit": "import sys\n\nsys.exit(3)\n",
    "sea-broken-hook": "import sea_toolkit as sea\n\n\n@sea.hookimpl\ndef sea_register_energy(register):\n    pass\n",
}

BUILD = """
import os, sys
from hatchling.build import build_wheel

for project in sys.argv[2:]:
    os.chdir(project)
    build_wheel(sys.argv[1])
"""


def sources() -> dict[str, str]:
    """Distribution to the source of its module."""
    healthy = {name: ENERGY.format(name=name[4:], function="energy") for name in HEALTHY}
    clashing = {name: ENERGY.format(name="clash", function="energy") for name in CLASHING}
    return healthy | clashing | BROKEN


def write_project(folder: Path, name: str, source: str) -> Path:
    """A project with one module; the entry points of the two that clash have one name."""
    module = name.replace("-", "_")
    point = "clash" if name in CLASHING else module
    folder.mkdir(parents=True)
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        f"""\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0"

[project.entry-points.sea_toolkit]
{point} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]
""",
        encoding="utf-8",
    )
    return folder


def install(root: Path) -> Path:
    """Build the wheels and install them into a folder, which is returned."""
    projects = [str(write_project(root / name, name, source)) for name, source in sources().items()]
    subprocess.run([sys.executable, "-c", BUILD, str(root / "dist"), *projects], check=True, capture_output=True)
    wheels = sorted(map(str, (root / "dist").glob("*.whl")))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*pip, "--target", str(root / "site"), *wheels], check=True, capture_output=True)
    return root / "site"


def sea(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `sea-toolkit` with the folder's packages installed, and caches beside it."""
    path = os.pathsep.join([str(site), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path, "SEA_CACHE": str(site.parent / "cache")}
    environment.pop("SEA_PLUGINS", None)
    command = [sys.executable, "-m", "sea_toolkit.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def listed(site: Path) -> tuple[float, dict[str, Any]]:
    """Seconds of one `list-plugins --json`, and what it printed."""
    begin = time.perf_counter()
    done = sea(site, "list-plugins", "--json")
    seconds = time.perf_counter() - begin
    if done.returncode:
        raise SystemExit(done.stderr)
    return seconds, json.loads(done.stdout)


def report(site: Path, runs: int) -> dict[str, Any]:
    """Times of `runs` processes, and the states that the last one gave."""
    listed(site)
    times, content = [], {}
    for _ in range(runs):
        seconds, content = listed(site)
        times.append(round(seconds, 4))
    mine = sources()
    rows = [row for row in content["plugins"] if row["distribution"] in mine]
    return {
        "median_seconds": statistics.median(times),
        "seconds": times,
        "plugins": {row["distribution"]: {key: row[key] for key in ("status", "error", "provides")} for row in rows},
        "clashes": content["clashes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="processes to time")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(report(install(Path(folder)), runs), indent=2))


if __name__ == "__main__":
    main()
