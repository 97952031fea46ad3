"""The Tab key: names of everything that a command takes, from the source alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import click
from click.shell_completion import ShellComplete

import sea_toolkit.cli
from sea_toolkit.cli import group, main
from sea_toolkit.cli.align import align
from sea_toolkit.cli.command import Command
from tests.cli.test_group import command
from tests.registry.hub_sources import energy


def offered(*words: str) -> list[str]:
    """What the shell offers for the last word."""
    complete = ShellComplete(main, {}, "sea-toolkit", "_SEA_TOOLKIT_COMPLETE")
    return [item.value for item in complete.get_completions(list(words[:-1]), words[-1])]


def test_names_are_completed_where_they_are_taken(install, tmp_path):
    install("sea-one", energy("tiles", head="1 / 0"))
    install("sea-cmd", command("welcome"))
    (tmp_path / "mine.py").write_text(energy("mine"))
    assert offered("align", "x", "--sampler", "ti") == ["tilted", "tilted-exact"]
    assert offered("align", "--energy", "ti") == ["tiles"]
    assert offered("align", "--energy", "length=2,ta") == []
    assert offered("align", "--reward", "sen") == ["sentiment"]
    assert "smollm2-135m" not in offered("align", "--reward", "")
    assert offered("align", "--model", "") == ["smollm2-135m"]
    assert offered("compare", "p.txt", "--samplers", "a=tilted,b=suf") == ["a=tilted,b=suffix-mh"]
    assert offered("compare", "p.txt", "--judge", "tox") == ["toxicity"]
    assert offered("describe", "cos") == ["cosine"]
    assert offered("models", "pull", "smol") == ["smollm2-135m"]
    assert offered("models", "re") == ["remove"]
    assert offered("wel") == ["welcome"]
    assert offered("list-plugins", "--kind", "sam") == ["sampler"]
    for before, after in ((["--plugin", str(tmp_path / "mine.py")], []), ([], ["--plugin", str(tmp_path / "mine.py")])):
        assert offered(*before, "align", *after, "--energy", "mi") == ["mine"]
    assert offered("--plugin", "nowhere.py", "describe", "cos") == []
    assert "sea_one" not in sys.modules


def test_completion_imports_nothing_heavy_and_prints_names_alone(tmp_path):
    code = (
        "import sys; from sea_toolkit.cli import main\n"
        "try: main(prog_name='sea-toolkit')\n"
        "finally: assert not {'torch', 'transformers', 'numpy', 'rich'} & set(sys.modules)"
    )
    environment = {
        "PYTHONPATH": ":".join(sys.path),
        "SEA_CACHE": str(tmp_path),
        "COMP_WORDS": "sea-toolkit align --sampler til",
        "COMP_CWORD": "3",
        "_SEA_TOOLKIT_COMPLETE": "bash_complete",
    }
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("plain,tilted\nplain,tilted-exact\n", "")


def test_the_help_of_align_has_each_option_once_in_a_group():
    shown = align.get_help(click.Context(align, info_name="align")).splitlines()
    for parameter in align.params:
        if isinstance(parameter, click.Option):
            assert sum(line.split()[0] == parameter.opts[0] for line in shown if line.startswith("  --")) == 1
    titles = [line for line in shown if line.endswith(":") and not line.startswith(" ")]
    assert titles == [*(f"{title}:" for title in align.sections), "Other:"]
    assert any("--reward sentiment=8" in line for line in shown), "an example"


def test_all_commands_print_through_one_door():
    """So text of others is printable everywhere, and standard output is for results alone."""
    folder = Path(sea_toolkit.cli.__file__).parent
    for file in folder.glob("*.py"):
        if file.name in ("output.py", "console.py"):
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert name not in ("print", "click.echo", "click.secho", "sys.stdout.write"), f"{file.name}: use say()"
            if isinstance(node, ast.ImportFrom) and node.module == "rich.console":
                assert "Console" not in [alias.name for alias in node.names], f"{file.name}: use cli.console.Console"
    for name in group.COMMANDS:
        built_in = main.get_command(click.Context(main), name)
        inner = built_in.commands.values() if isinstance(built_in, click.Group) else [built_in]
        assert all(isinstance(one, Command) for one in inner), f"{name}: its output is not kept clean"
