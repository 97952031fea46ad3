"""What `new-plugin` writes for each kind: installed from wheels, listed, used, and its own tests run unchanged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sea_toolkit.registry.records import CORE
from sea_toolkit.registry.scaffold import EXAMPLES, ITEM_KINDS, TEMPLATES
from tests.cli.commands import invoke
from tests.plugins.environments import ROOT, Environment, build

NAMES = {kind: f"my-{kind}" for kind in EXAMPLES}
UNREAD = """
[[tool.mypy.overrides]]
module = ["transformers.*", "peft.*", "huggingface_hub.*", "torch._dynamo.*", "torch._export.*", "torch._functorch.*",
  "torch._higher_order_ops.*", "torch._inductor.*", "torch.ao.*", "torch.distributed.*", "torch.distributions.*",
  "torch.export.*", "torch.fx.*", "torch.onnx.*"]
follow_imports = "skip"
"""
"""For mypy: four thousand modules whose types no plugin meets, and that take it half a minute."""

TUTORIAL = ROOT / "docs" / "tutorial.md"


def new_plugin(name: str, kind: str, out: Path) -> Path:
    """Write the package."""
    done = invoke("new-plugin", name, "--kind", kind, "--out", out)
    assert done.exit_code == 0, done.output
    return out / f"sea-{name}"


@pytest.fixture(scope="module")
def projects(tmp_path_factory) -> dict[str, Path]:
    """One package of each kind, and the one that the tutorial ends with."""
    root = tmp_path_factory.mktemp("new")
    made = {kind: new_plugin(name, kind, root) for kind, name in NAMES.items()}
    made["tutorial"] = new_plugin("cosy", "energy", root)
    blocks = re.findall(
        r'```python title="sea-cosy/([^"]+)"\n(.*?)```', TUTORIAL.read_text(encoding="utf-8"), re.DOTALL
    )
    assert [path for path, _ in blocks] == ["src/sea_cosy/energy.py", "tests/test_energy.py"]
    for path, source in blocks:
        (made["tutorial"] / path).write_text(source, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def environment(projects, tmp_path_factory) -> Environment:
    """All of them installed."""
    root = tmp_path_factory.mktemp("installed")
    made = Environment(root / "env")
    made.install(build(list(projects.values()), root / "dist"))
    return made


def test_the_templates_are_in_the_wheel(tmp_path):
    (wheel,) = build([ROOT], tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("sea_toolkit/registry/templates/")}
    there = {path.relative_to(ROOT).as_posix() for path in TEMPLATES.rglob("*") if path.is_file()}
    assert shipped == there


def test_they_are_listed(environment):
    done = environment.sea("list-plugins", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {r["distribution"]: r for r in json.loads(done.stdout)["plugins"]}
    for kind, name in NAMES.items():
        row = rows[f"sea-{name}"]
        assert (row["status"], row["warnings"]) == ("not loaded", [])
        assert row["provides"] == {ITEM_KINDS[kind]: [name]}


def test_their_own_tests_pass_unchanged(environment, projects):
    done = environment.pytest(*(folder / "tests" for folder in projects.values()))
    assert done.returncode == 0, done.stdout


def test_they_load_and_a_run_uses_them(environment, tmp_path):
    """Energy, schedule, initializer and sampler in one recipe, the relaxation in another."""
    from sea_toolkit.testing import tiny_model, tiny_tokenizer

    tiny_model().save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    policy = f'policy = {{ model = "{tmp_path / "model"}", template = "plain" }}\nmax_new_tokens = 8\n'
    energies = (
        'energies = [{ name = "reference" }, { name = "my-energy", words = "the and it", '
        'weight = { schedule = "my-schedule", peak = 6.0, end = 6.0 } }]\n'
    )
    exact = 'sampler = { name = "my-sampler", steps = 6 }\ninitializer = { name = "my-initializer", text = "on" }\n'
    soft = 'sampler = { name = "sea", steps = 3 }\nrelaxation = { name = "my-relaxation", keep = 3 }\n'
    recipes = {name: tmp_path / f"{name}.toml" for name in ("my-sampler", "sea")}
    for recipe, more in zip(recipes.values(), (exact, soft), strict=True):
        recipe.write_text(policy + energies + more, encoding="utf-8")
    aligned = [["align", "the rain", "--recipe", str(recipe), "--json"] for recipe in recipes.values()]
    listed, *results = environment.sea_each(["list-plugins", "--load", "--json"], *aligned)
    loaded = json.loads(listed)
    assert {r["status"] for r in loaded["plugins"] if r["distribution"] != CORE} == {"ok"}
    assert loaded["clashes"] == []
    for sampler, printed in zip(recipes, results, strict=True):
        result = json.loads(printed)
        of_a_tiny_policy = ("the answer is ", "the reward my-energy is ")  # cut, empty; equal for all texts
        notes = [note for note in result["notes"] if not note.startswith(of_a_tiny_policy)]
        assert (result["sampler"], notes) == (sampler, [])
        assert set(result["rewards"]) == {"my-energy"}  # its negative, the number of words, is what people read
        assert result["energy"]["after"] <= result["energy"]["before"]


def test_the_model_is_in_the_catalog(environment):
    rows = {row["name"]: row for row in json.loads(environment.sea("models", "list", "--json").stdout)}
    assert (rows["my-model"]["role"], rows["my-model"]["where"]) == ("reward", "in the package")
    assert rows["my-model"]["for_policy"] == "smollm2-135m"


def test_they_are_formatted_linted_and_typed(projects, tmp_path):
    for kind in EXAMPLES:
        new_plugin("x", kind, tmp_path / kind)
        new_plugin("name-as-long-as-a-name-may-be-"[:29] + "x", kind, tmp_path / kind)
    for folder in (projects["energy"].parent, tmp_path):
        for command in (["format", "--check", "."], ["check", "."]):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", *command, "--no-cache"], cwd=folder, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout
    config = tmp_path / "mypy.toml"
    config.write_text((projects["energy"] / "pyproject.toml").read_text(encoding="utf-8") + UNREAD, encoding="utf-8")
    sources = [str(folder / "src" / folder.name.replace("-", "_")) for folder in projects.values()]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file", str(config), "--cache-dir", str(tmp_path / "mypy"),
         *sources],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
