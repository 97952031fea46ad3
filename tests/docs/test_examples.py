"""Every fenced block of the README and of docs/ runs; the blocks of a page share a namespace and a folder.

What happens to a block depends on its language:

- `python` is executed; with a title (`python title="sea_waves.py"`) it is also written under that name.
- `toml` is a `pyproject.toml` (it has `[project]` or a build system) or a recipe, and is parsed as one.
- `console`: each line `$ sea-toolkit …` is run and has to exit with 0. What follows it is its output, in
  which `…` stands for anything.
- `text` is shown only. No other language is allowed, so that no example escapes.

`<!-- not run: reason -->` on the line above a fence leaves it out; `<!-- real model -->` anywhere on a page
says that the page needs the 135M model.
"""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.recipe import Recipe

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LONGEST = ROOT / "docs" / "objectives.md"
"""It runs in a file of its own (test_longest_page): a file is what one worker takes at a time."""
SERVED = ROOT / "docs" / "serve.md"
"""It runs where its server is (tests/serving/test_page)."""
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n\n?)?"
    r"(?P<indent> *)(?P<ticks>```+)(?P<language>\S*)(?P<rest>[^\n]*)\n(?P<body>.*?)^(?P=indent)(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """One fenced block; `line` is that of its first line of text."""

    page: str
    line: int
    language: str
    title: str | None
    body: str
    reason: str | None


def blocks_of(text: str, page: str = "page.md") -> list[Block]:
    """The fenced blocks of a Markdown text, in order."""
    found = []
    for match in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', match["rest"])
        indent = match["indent"]
        body = "".join(line.removeprefix(indent) for line in match["body"].splitlines(keepends=True))
        line = text.count("\n", 0, match.start("body")) + 1
        found.append(Block(page, line, match["language"], title and title[1], body, match["reason"]))
    return found


def run_block(block: Block, namespace: dict[str, object]) -> None:
    """Run one block in the current folder."""
    if block.reason is not None:
        return
    if block.title:
        Path(block.title).write_text(block.body, encoding="utf-8")
    if block.language == "python":
        # Blank lines in front make a traceback point into the page.
        exec(compile("\n" * (block.line - 1) + block.body, block.page, "exec"), namespace)
    elif block.language == "toml":
        check_toml(block.body)
    elif block.language == "console":
        run_console(block.body)
    elif block.language != "text":
        raise AssertionError(f"a block of language {block.language!r}; use python, toml, console or text")


def check_toml(body: str) -> None:
    """A packaging file that announces a plugin, or a recipe."""
    data = tomllib.loads(body)
    if data.keys() & {"project", "build-system"}:
        assert data["project"]["entry-points"]["sea_toolkit"], "a pyproject.toml example without an entry point"
    else:
        recipe = Recipe.parse(data)
        hub = PluginHub.discover(plugins=[], files=sorted(Path.cwd().glob("*.py")))
        compose(recipe, hub)


def run_console(body: str) -> None:
    """Run each command and compare its output with what is shown."""
    from sea_toolkit.cli import main

    for command, shown in commands_of(body):
        program, *arguments = shlex.split(command)
        assert program == "sea-toolkit", f"only sea-toolkit is run here, not {program!r}: say <!-- not run: why -->"
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert result.exit_code == 0, f"$ {command}\n{result.output}"
        assert shows(result.output, shown), f"$ {command}\nshown:\n{shown}\ngot:\n{result.output}"


def commands_of(body: str) -> list[tuple[str, str]]:
    """The commands of a console block, continuation lines joined, each with the output shown under it."""
    found: list[tuple[str, str]] = []
    for line in re.sub(r" *\\\n(?:> )? *", " ", body).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif not found:
            raise AssertionError(f"a console block begins with a line '$ command', not {line!r}")
        else:
            command, shown = found[-1]
            found[-1] = (command, shown + line + "\n")
    return found


def shows(output: str, shown: str) -> bool:
    """Whether the output contains what is shown; `…` stands for anything, white space counts as one blank."""
    words = [re.escape(" ".join(part.split())) for part in shown.split("…")]
    return re.search(".*?".join(words), " ".join(output.split()), re.DOTALL) is not None


def page_parameter(page: Path):
    marks = [pytest.mark.real_model] if "<!-- real model -->" in page.read_text(encoding="utf-8") else []
    return pytest.param(page, marks=marks, id=str(page.relative_to(ROOT)))


@pytest.mark.parametrize("page", [page_parameter(p) for p in PAGES if p not in (LONGEST, SERVED)])
def test_every_example_runs(page, request, tmp_path, monkeypatch):
    run_page(page, request, tmp_path, monkeypatch)


def run_page(page, request, tmp_path, monkeypatch):
    """Every block of a page, in order, in an empty folder."""
    if request.node.get_closest_marker("real_model"):
        request.getfixturevalue("smollm2_stays_loaded")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEA_PLUGINS", "")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    namespace: dict[str, object] = {"__name__": "__main__"}
    blocks = blocks_of(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))
    try:
        for block in blocks:
            try:
                run_block(block, namespace)
            except Exception as error:
                raise AssertionError(f"{block.page}:{block.line}: {type(error).__name__}: {error}") from error
    finally:  # another page may use the same file names
        for block in blocks:
            sys.modules.pop((block.title or "").removesuffix(".py"), None)


def test_every_fence_is_found():
    """An odd fence, or one inside another that the pattern misses, would leave an example out unseen."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fences = len(re.findall(r"^ *```", text, re.MULTILINE))
        assert fences == 2 * len(blocks_of(text)), page


def test_blocks_left_out_have_a_reason():
    for page in PAGES:
        for block in blocks_of(page.read_text(encoding="utf-8"), page.name):
            assert block.reason is None or len(block.reason.split()) >= 3, f"{page.name}:{block.line}"


class TestTheRunnerItself:
    """The runner goes red for what it is there to catch."""

    def test_blocks_are_found_with_language_title_line_and_reason(self):
        text = (
            'Intro\n\n```python title="a.py"\nx = 1\n```\n\n<!-- not run: needs a network -->\n```console\n$ pip\n```\n'
        )
        first, second = blocks_of(text)
        assert (first.language, first.title, first.line) == ("python", "a.py", 4)
        assert (first.body, first.reason) == ("x = 1\n", None)
        assert (second.language, second.reason) == ("console", "needs a network")

    def test_python_that_fails_is_an_error_and_names_are_shared(self):
        namespace: dict[str, object] = {}
        for block in blocks_of("```python\nx = 20\n```\n```python\ny = x + 1\nassert y == 21\n```\n"):
            run_block(block, namespace)
        with pytest.raises(AssertionError):
            run_block(blocks_of("```python\nassert y == 22\n```\n")[0], namespace)

    def test_a_left_out_block_is_not_run(self):
        run_block(blocks_of("<!-- not run: it would fail -->\n```python\n1 / 0\n```\n")[0], {})

    def test_an_unknown_language_is_refused(self):
        with pytest.raises(AssertionError, match="language 'bash'"):
            run_block(blocks_of("```bash\nls\n```\n")[0], {})

    def test_commands_join_their_continuation_lines_and_keep_their_output(self):
        body = "$ sea-toolkit align \\\n    --seed 0\none\n$ sea-toolkit list-plugins\n"
        assert commands_of(body) == [
            ("sea-toolkit align --seed 0", "one\n"),
            ("sea-toolkit list-plugins", ""),
        ]

    def test_shown_output_has_to_appear(self):
        assert shows("a  b\nc d\n", "a b … d")
        assert shows("anything", "")
        assert not shows("a b c", "a c")

    def test_other_programs_are_refused(self):
        with pytest.raises(AssertionError, match="only sea-toolkit"):
            run_console("$ pip install nox\n")

    def test_a_packaging_file_has_to_announce_a_plugin(self):
        check_toml('[project]\nname = "x"\n[project.entry-points.sea_toolkit]\nx = "x"\n')
        with pytest.raises((AssertionError, KeyError)):
            check_toml('[project]\nname = "x"\n')

    @pytest.mark.parametrize(
        "recipe",
        [
            'energies = [{ name = "lenght" }]',
            'energies = [{ name = "length", target = 5 }]\nsampler = { name = "sea" }\n'
            'relaxation = { name = "softmax", temperature = { schedule = "cosign" } }',
            'polcy = { model = "smollm2-135m" }',
        ],
    )
    def test_a_recipe_with_a_misspelt_name_or_key_is_an_error(self, recipe, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RecipeError, match="did you mean"):
            check_toml(recipe)
