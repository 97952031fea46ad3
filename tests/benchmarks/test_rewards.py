"""The test bed of rewards runs, judges its answers, and its tables hang together."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer

FOLDER = Path(__file__).parents[2] / "benchmarks" / "rewards"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Runs one of the bed's scripts in this process, beside a tiny policy."""
    monkeypatch.syspath_prepend(str(FOLDER))
    tiny_model().save_pretrained(tmp_path / "policy")
    tiny_tokenizer().save_pretrained(tmp_path / "policy")

    def run(name: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")

    yield run
    for name in ("kinds", "json_lines"):
        sys.modules.pop(name, None)


def test_from_answers_to_tables(script, monkeypatch, tmp_path, capsys) -> None:
    import kinds

    few = kinds.Kind(
        "capitals", ({"name": "regex", "pattern": "[A-Z]", "mode": "count", "at_least": 9},), (("term", 1.0),)
    )
    monkeypatch.setattr(kinds, "KINDS", {"capitals": few})
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"instruction": text}) + "\n" for text in ("a dog", "the sea", "an owl")))
    out, policy = tmp_path / "out", tmp_path / "policy"
    common = ["--models", tmp_path, "--policy", policy]
    parts = [
        "--option",
        "hot.temperature=1.5",
        "--part",
        "suffix-mh,hot=suffix-mh,tilted@4,8",
        "--part",
        "best-of-n@3,8",
    ]
    script("run", prompts, "--tune", prompts, "--kind", "capitals", "--out", out, "--length", "6", *common, *parts)
    script("best_of_n", prompts, "--kinds", "capitals", "--out", out, "--length", "6", "--budgets", "8", "16", *common)
    script("judge", out, *common)
    assert "without tilted" in capsys.readouterr().out  # letters that are counted have no gradient
    script("tables", out, "--default", "suffix-mh", "--plot", out / "figure.png")
    shown = capsys.readouterr().out
    lines = [line for line in shown[: shown.index("### Differences")].splitlines() if line.startswith("|")]
    rows = {tuple(cell.strip(" `") for cell in line.split("|")[1:3]): line.split("|") for line in lines}
    of_eight, of_sixteen = rows["best-of-n", "8"], rows["best-of-n", "16"]
    assert of_eight[8].strip() == "8"  # as many samples of best-of-n as it has
    assert of_eight[3].strip() == "8.0"  # exactly: of one set of draws, in place of run.py's own
    assert ("best-of-n", "3") in rows
    assert float(of_sixteen[4].split()[0]) >= float(of_eight[4].split()[0])
    assert "capitals: capitals, 3 prompts" in shown
    assert "`suffix-mh@8` − `best-of-n@8`" in shown
    assert (out / "figure.png").stat().st_size > 1000
