"""Pages about runs, comparisons and fronts: what they show, and that nothing in them is more than text."""

from __future__ import annotations

import builtins
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sea_toolkit.api import align
from sea_toolkit.errors import SeaError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.evaluation.pages import write_report
from sea_toolkit.evaluation.pareto import pareto
from sea_toolkit.events import Event
from sea_toolkit.reporting.page.render import LARGEST, sections_that_fit
from sea_toolkit.reporting.page.steps import Course
from sea_toolkit.runs.result import Interrupted, Result
from sea_toolkit.testing.tiny import tiny_model, tiny_policy, tiny_reward, tiny_tokenizer
from sea_toolkit.util import run_files
from tests.cli.commands import invoke
from tests.helpers import hub, warmth
from tests.reporting.pages import Element, read_page

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

EVIL = "</script><script>document.title='x'</script>"
HOSTILE = f"<img src=x onerror=alert(1)>\u202e {EVIL} \x1b[2J"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OWN: dict[str, Any] = {"policy": tiny_policy(), "hub": hub(), "max_new_tokens": 40}
LONG = 'a"b<'


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def results(work: Path) -> list[Result]:
    """A run whose first prompt and whose answers begin with what a page could mistake for its own."""
    return align(
        [HOSTILE, [{"role": "system", "content": EVIL}, {"role": "user", "content": "the rain"}]],
        energies={LONG: (3.0, tiny_reward()), "length": {"target": 4, "weight": 0.5}},
        constraints=[{"name": "repetition", "max": 0.5}], draft=EVIL, sampler="sea", steps=3, chains=2, explain=True,
        out=work / "run", **OWN | {"max_new_tokens": 50},
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(work: Path, results: list[Result]) -> Element:
    return read_page(write_report(work / "run", work / "run.html").read_text(encoding="utf-8"))


def test_a_hostile_prompt_or_answer_stays_text(work: Path, page: Element, results: list[Result]) -> None:
    assert page.all("title")[0].text == f"Run {work / 'run'}"
    first, second = page.all("details", "prompt")
    assert r"<img src=x onerror=alert(1)>\u202e" in first.all("summary")[0].text
    assert results[0].base_response == EVIL
    assert first.all("section", "text")[0].all("p")[0].text == EVIL
    assert EVIL in second.all("dl", "turns")[0].text


def test_a_heat_map_has_as_many_cells_as_tokens(page: Element, results: list[Result]) -> None:
    for result, section in zip(results, page.all("details", "prompt"), strict=True):
        assert result.tokens is not None
        for title, tokens in zip(("Base answer", "Aligned answer"), result.tokens, strict=True):
            (part,) = [s for s in section.all("section") if s.all("h4") and s.all("h3")[0].text == title]
            cost, kl, *gains = part.all("p", "heat")
            assert {len(heat.all("span")) for heat in (cost, kl, *gains)} == {len(tokens)}
            assert [cell.attributes["title"] for cell in cost.all("span")] == [f"{-t.log_prob:.2f}" for t in tokens]
            assert "".join(cell.text for cell in cost.all("span")).replace("↵", "").removesuffix("■") == "".join(
                t.text for t in tokens
            )
            assert part.all("h4")[0].text == "−log π"
            assert f"What each token gains of {LONG}, to first order" in [h.text for h in part.all("h4")]


def test_the_page_has_what_the_result_has(page: Element, results: list[Result]) -> None:
    result = results[0]
    section = page.all("details", "prompt")[0]
    texts = [part.all("p")[0].text for part in section.all("section", "text")]
    assert texts == [result.base_response, result.response]
    terms, candidates = section.all("table")
    assert {row.all("th")[0].text for row in terms.all("tbody")[0].all("tr")} == {
        "energy reference", f"reward {LONG}", "energy length", "limit repetition limit", "energy", "−log π per token",
    }  # fmt: skip
    shown = [row.all("th")[0].text for row in candidates.all("tbody")[0].all("tr")]
    assert shown == [c.text for c in result.candidates[:8]]
    assert len(section.all("details", "story")) == 2
    assert len(page.all("svg")) == 3  # one for all prompts, and one for each
    assert f"{result.ledger['flops']:.2e}" in page.all("dl", "cards")[0].text
    assert "sampler" in page.all("pre")[0].text
    assert json.loads(page.all("pre")[1].text)["sampler"] == "sea"


def test_a_run_that_was_interrupted_before_its_end_is_shown_as_far_as_it_is(work: Path) -> None:
    def stop(event: Event) -> None:
        if event.kind == "step" and event.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        align(
            "the rain", energies={"warmth": (3.0, warmth)}, sampler="sea", steps=9, chains=2, on_event=stop,
            on_interrupt="raise", out=work / "half", checkpoint_every=1, **OWN,
        )  # fmt: skip
    for name in (run_files.ENDED, run_files.RESULT):  # as after a kill
        (work / "half" / name).unlink()
    page = read_page(write_report(work / "half", work / "half.html").read_text(encoding="utf-8"))
    assert page.all("span", "badge")[0].text == "unfinished"
    assert "2 of 9 steps are saved" in page.all("p", "banner")[0].text
    assert len(page.all("svg")) == len(page.all("table")) == 1
    for name in (run_files.CHECKPOINT, run_files.MANIFEST, run_files.TRACE):  # killed before its first step
        (work / "half" / name).unlink()
    page = read_page(write_report(work / "half", work / "half.html").read_text(encoding="utf-8"))
    assert "the rain" in page.all("summary")[0].text


@pytest.fixture(scope="module")
def several(work: Path) -> dict[str, Element]:
    """A comparison and a sweep, whose labels are hostile too."""
    settings: dict[str, Any] = {**OWN, "energies": {EVIL: (3.0, tiny_reward())}, "max_new_tokens": 6}
    compare(["the rain", HOSTILE], samplers=["best-of-n", "args"], budgets=[3, 4], out=work / "cmp", **settings)
    more = {"weights": "grid:3", "budget": 4.0, "chains": 2, "answers": 4, "sampler": "suffix-mh"}
    settings["energies"] = {EVIL: (1.0, tiny_reward()), "length": {"target": 4}}
    pareto(["the rain", HOSTILE], out=work / "front", **more, **settings)
    return {
        kind: read_page(write_report(work / kind, work / f"{kind}.html").read_text(encoding="utf-8"))
        for kind in ("cmp", "front")
    }


def test_a_comparison_has_its_frontier_its_table_and_the_answers(work: Path, several: dict[str, Element]) -> None:
    page, report = several["cmp"], run_files.read_json(work / "cmp" / run_files.RESULTS)
    assert len(page.all("table")[0].all("tbody")[0].all("tr")) == len(report["cells"])
    assert [item.text for item in page.all("ul", "statements")[0].all("li")] == report["statements"]
    assert f"reward {EVIL}" in page.all("svg")[0].text
    rows = [json.loads(line) for line in (work / "cmp" / run_files.ROWS).read_text(encoding="utf-8").splitlines()]
    for place, section in enumerate(page.all("details", "prompt")):
        shown = {part.all("h3")[0].text.partition(" (")[0]: part.all("p")[0].text for part in section.all("section")}
        assert shown == {
            "base" if r["method"] == "base" else f"{r['method']}, 4 samples": r["text"] or "(empty)"
            for r in rows
            if r["prompt_index"] == place and (r["method"] == "base" or r["budget"] == 4)
        }


def test_a_front_has_its_answers(work: Path, several: dict[str, Element]) -> None:
    page, report = several["front"], run_files.read_json(work / "front" / run_files.RESULTS)
    assert len(page.all("svg")) == 1
    for front, section in zip(report["fronts"], page.all("details", "prompt"), strict=True):
        rows = section.all("tbody")[0].all("tr")
        assert [row.all("th")[0].text for row in rows] == [one["text"] for one in front["texts"]]


def test_a_large_run_says_what_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sea_toolkit.reporting.page.render.LARGEST", 40_000)
    head: dict[str, Any] = {
        "title": "t", "finished": True, "facts": [], "lines": [], "figure": None, "tables": [], "statements": [],
        "notes": [], "command": None, "recipe": "", "methods": "", "versions": "",
    }  # fmt: skip
    part = {
        "place": 1,
        "text": "x",
        "answers": [{"name": "a", "numbers": [], "finished": True, "pieces": [("y" * 9000, False)]}],
    }
    content = sections_that_fit("comparison.html", head, "texts.html", [part] * 9, 9)
    shown = len(read_page(content).all("details", "prompt"))
    assert 1 <= shown <= 4
    assert f"no room on this page for {9 - shown} further prompts" in content
    assert len(content) < 40_000 < LARGEST


def test_rows_of_prompts_without_a_section_lead_nowhere_and_long_texts_are_cut(
    work: Path, results: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("run_page", "run_prompt"):
        monkeypatch.setattr(f"sea_toolkit.reporting.page.{module}.HEAD", 20)
    whole = len((work / "run.html").read_bytes())
    monkeypatch.setattr("sea_toolkit.reporting.page.render.LARGEST", whole - 100)
    page = read_page(write_report(work / "run", work / "cut.html").read_text(encoding="utf-8"))
    assert [len(row.all("a")) for row in page.all("tbody")[0].all("tr")] == [1, 0]
    (section,) = page.all("details", "prompt")
    assert len(section.all("span", "ask")[0].text) < 40 < len(section.all("p", "what")[0].text)


def line(step: int, energy: list[float | None], texts: list[str], **more: Any) -> dict[str, Any]:
    return {"step": step, "energy": [energy], "terms": {"a": [energy]}, "texts": [texts], **more}


def test_a_story_keeps_its_ends_and_the_changes_between() -> None:
    trace = [line(s - 1, [float(s), None], [f"a text {s // 2}", "same"]) for s in range(20)]
    course = Course.of(trace, 0)
    story = course.story(0, room=24)
    assert [e["step"] for e in story["entries"]] == [0, 7, 17]
    assert (story["changes"], story["left_out"]) == (9, 7)
    assert story["entries"][-1]["pieces"] == [("a text ", False), ("9", True)]
    assert course.story(1, room=10)["changes"] == 0
    assert course.lowest == [0.0] * 20
    assert course.mean_terms({"a": 2.0}) == {"a": [2.0 * s for s in range(20)]}
    assert course.mean_terms({"a": 0.0}) == {}


def test_a_chain_is_at_the_text_that_it_took() -> None:
    """Two tries for each of two chains: the first takes its second try, and the other stays; then one has a try."""
    trace = [
        line(-1, [5.0, 6.0], ["one", "two"]),
        line(1, [4.0, 3.0, 2.0, None], ["a", "b", "c", "d"], chain_energy=[[3.00001, 6.0]]),
        line(2, [1.0], ["e"]),
    ]
    course = Course.of(trace, 0)
    assert [chain.texts for chain in course.chains] == [["one", "b", "e"], ["two", "two", "two"]]
    assert [chain.energy for chain in course.chains] == [[5.0, 3.0, 1.0], [6.0, 6.0, 6.0]]
    assert course.lowest == [5.0, 2.0, 1.0]


def test_the_best_of_several_texts_is_shown_where_the_chain_says_nothing() -> None:
    course = Course.of([line(-1, [5.0], ["one"]), line(1, [4.0, 3.0, None], ["a", "b", "c"])], 0)
    assert course.chains[0].texts == ["one", "b"]


def test_a_relaxed_answer_has_numbers_between_its_texts() -> None:
    soft = {"step": 1, "soft_energy": [[2.5]], "soft/a": [[0.5]]}
    course = Course.of([line(-1, [5.0], ["one"]), soft, line(2, [1.0], ["two"], last=True)], 0)
    assert (course.steps, course.chains[0].energy) == ([0, 1, 2], [5.0, 2.5, 1.0])
    assert course.chains[0].texts == ["one", "one", "two"]
    assert course.lowest == [5.0, 5.0, 1.0]


@pytest.mark.parametrize("case", ["file", "empty", "many", "damaged", "own", "folder"])
def test_what_cannot_be_shown_or_written_is_said(work: Path, results: list[Result], tmp_path: Path, case: str) -> None:
    folder, target, said = work / "run", tmp_path / "page.html", ""
    if case == "file":
        folder, said = work / "run" / "recipe.json", "is no folder"
    elif case == "empty":
        folder, said = tmp_path, "holds no run, comparison or sweep"
    elif case == "many":
        folder, said = tmp_path, f"sea-toolkit report {tmp_path / 'shards' / '00003'}; all answers in one table"
        (tmp_path / run_files.MANY).touch()
        (tmp_path / "shards" / "00003").mkdir(parents=True)
    elif case == "damaged":
        folder, said = tmp_path / "run", "cannot be shown"
        folder.mkdir()
        run_files.write_sealed(folder / run_files.FRONT, {})
        (folder / run_files.RESULTS).write_text("[]", encoding="utf-8")
    elif case == "own":
        target, said = work / "run" / "result.json", "is a file of the run"
    else:
        target, said = tmp_path, "is a folder"
    before = (work / "run" / "result.json").read_bytes()
    found = invoke("report", folder, "-o", target)
    assert (found.exit_code, said in found.output) == (1 if case == "damaged" else 2, True), found.output
    assert not target.is_file() or target.read_bytes() == before


def test_a_missing_extra_is_named(work: Path, results: list[Result], monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *given: Any, **more: Any) -> Any:
        if name == "jinja2":
            raise ImportError("no", name=name)
        return usual(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SeaError, match=r"jinja2.*\n.*sea-alignment\[report\]") as caught:
        write_report(work / "run", work / "never.html")
    assert not (work / "never.html").exists()
    assert caught.value.hint


def test_the_command_writes_the_file_and_loads_no_torch(work: Path, results: list[Result]) -> None:
    code = (
        "import sys; from sea_toolkit.cli import main\ntry: main(sys.argv[1:])\nfinally: print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "report", str(work / "run"), "-o", str(work / "by-command.html")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    assert (work / "by-command.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "MB)" in found.stdout
    assert "True" not in found.stdout + found.stderr


def test_a_command_writes_the_page_of_its_folder(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    asked = ["--energy", "length,target=3", "--model", str(tmp_path / "model"), "--max-new-tokens", "4"]
    html = ["--html", str(tmp_path / "page.html")]
    more = ["--sampler", "best-of-n", "--budget", "3", "--out", str(tmp_path / "run")]
    found = invoke("align", "a", *asked, *more, *html)
    assert found.exit_code == 0, found.output
    assert read_page((tmp_path / "page.html").read_text(encoding="utf-8")).all("details", "prompt")
    (tmp_path / "p.txt").write_text("a", encoding="utf-8")
    for command in (
        ["align", "a"],
        ["compare", str(tmp_path / "p.txt"), "--samplers", "args"],
        ["pareto", str(tmp_path / "p.txt")],
    ):
        found = invoke(*command, *asked, *html)
        assert (found.exit_code, "expected: --out DIR beside it" in found.output) == (2, True), found.output


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
def test_a_browser_opens_the_pages_without_network_and_without_complaint(
    work: Path, page: Element, several: dict[str, Element], tmp_path: Path
) -> None:
    assert CHROMIUM is not None
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    for kind, expected in {"run": page, "front": several["front"]}.items():
        url = (work / f"{kind}.html").as_uri()
        found = subprocess.run([*command, url], capture_output=True, text=True, timeout=120, check=False)
        assert "CONSOLE" not in found.stderr
        seen = read_page(found.stdout)
        assert seen.all("title")[0].text == expected.all("title")[0].text
        assert [h.text for h in seen.all("p", "heat")] == [h.text for h in expected.all("p", "heat")]
        assert len(seen.all("tr")) == len(expected.all("tr"))
