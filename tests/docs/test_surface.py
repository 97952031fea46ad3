"""One public surface: plugins, templates and the documentation use its names alone, and every name they say exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import sea_toolkit
import sea_toolkit.testing
from sea_toolkit.registry.records import KINDS
from sea_toolkit.registry.scaffold import names_of, render
from tests.docs.imports import lazy_faults, page_source, private_uses
from tests.docs.names import exists, unknown_names
from tests.docs.test_examples import PAGES, ROOT, blocks_of

PLUGINS = sorted(p for p in (ROOT / "plugins").rglob("*.py") if "build" not in p.relative_to(ROOT).parts)
READMES = sorted((ROOT / "plugins").glob("*/README.md"))
PACKAGES = {module.__name__: module for module in (sea_toolkit, sea_toolkit.testing)}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PLUGINS, ids=relative)
def test_a_plugin_uses_public_names_alone(path):
    assert private_uses(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_package_uses_public_names_alone(kind):
    files = render(names_of("names", kind, ()))
    sources = {path: content.decode() for path, content in files.items() if path.endswith(".py")}
    assert any("sea_toolkit.testing" in source for source in sources.values())
    assert {path: uses for path, source in sources.items() if (uses := private_uses(source))} == {}
    assert private_uses(page_source(blocks_of(files["README.md"].decode()))) == []


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=relative)
def test_the_examples_of_a_page_use_public_names_alone(page):
    assert private_uses(page_source(blocks_of(page.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_resolves(name):
    for public in PACKAGES[name].__all__:
        assert getattr(PACKAGES[name], public) is not None, public


@pytest.mark.parametrize("name", PACKAGES)
def test_what_type_checkers_see_is_what_is_imported(name):
    assert lazy_faults(Path(PACKAGES[name].__file__).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=relative)
def test_every_name_in_the_prose_of_a_page_exists(page):
    assert unknown_names(page.read_text(encoding="utf-8")) == []


def test_every_entry_of_the_python_reference_exists():
    text = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    entries = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    assert len(entries) > 10
    assert [entry for entry in entries if not exists(entry)] == []
    for name in ("sea_toolkit", "sea_toolkit.testing"):
        shown = text.split(f"\n<!-- {name} -->\n", 1)[1].split("\n<!--", 1)[0]
        assert sorted(re.findall(r"`(\w+)`", shown)) == sorted(PACKAGES[name].__all__), name


def test_every_term_of_the_glossary_points_to_the_code():
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    entries = re.findall(r"^\*\*(.+?)\.\*\*(.+?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) == text.count("\n**") > 40
    assert [term for term, body in entries if "`" not in body] == []


class TestTheChecksThemselves:
    """Each check goes red for what it is there to catch."""

    @pytest.mark.parametrize(
        "source",
        [
            "from sea_toolkit.core.noise import Noise",
            "from sea_toolkit import Noises",
            "from sea_toolkit import core",
            "from sea_toolkit.testing.tiny import tiny_policy",
            "from sea_toolkit.testing import tiny_polcy",
            "import sea_toolkit.core.noise",
            "import sea_toolkit.core.noise as noise",
            "def f():\n    from sea_toolkit.lm.decoding import decode",
            "if TYPE_CHECKING:\n    from sea_toolkit.events import Event",
            "import sea_toolkit as sea\nsea.Noises",
            "import sea_toolkit as other\nother.core.noise.Noise",
            "import sea_toolkit\nsea_toolkit.core",
            "import sea_toolkit as sea\nsea.testing.tiny",
            "from sea_toolkit import testing as kit\nkit.tiny",
            "import sea_toolkit as sea\ndef f(x: sea.Respons) -> None: ...",
            "monkeypatch.setattr('sea_toolkit.models.wheel.download_wheel', None)",
            "register('slow', target='sea_toolkit.schedules.cosine:cosine')",
        ],
    )
    def test_a_private_use_is_found(self, source):
        assert len(private_uses(source)) == 1

    def test_public_uses_pass(self):
        source = """
            import sea_toolkit as sea
            import sea_toolkit.testing
            from sea_toolkit import Noise, testing
            from sea_toolkit.testing import check_energy
            from .core import noise
            sea.SoftResponse.from_ids, sea.testing.check_energy, testing.tiny_policy
            "sea_toolkit"
        """
        assert private_uses("\n".join(line.strip() for line in source.splitlines())) == []

    def test_an_alias_of_one_block_counts_in_the_next_and_lines_are_those_of_the_page(self):
        page = "A\n\n```python\nimport sea_toolkit as sea\n```\n\nB\n\n```python\nx = 1\nsea.Noises\n```\n"
        assert private_uses(page_source(blocks_of(page))) == ["11: sea_toolkit.Noises"]

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ('"Noise": "core.noise"', '"Noise": "core.response"'),
            ('    "Noise": "core.noise",\n', ""),
            ("import Noise, categorical", "import categorical"),
            ('"Noise", ', ""),
            ('"Noise", ', '"Noise", "Noise", '),
            ('"Noise", ', '"Noise", "Noises", '),
        ],
    )
    def test_a_lazy_module_that_disagrees_with_itself_is_found(self, old, new):
        source = Path(sea_toolkit.__file__).read_text(encoding="utf-8")
        assert old in source
        assert lazy_faults(source.replace(old, new, 1)) != []

    @pytest.mark.parametrize(
        "name",
        [
            "sea_toolkit.core.noises", "sea_toolkit.core.noise.Noises", "sea_toolkit.core.noise.Noise.unifrom",
            "problem.slope(scored.slopes)", "problem.require_gradient('x')", "problem.clock.valeu(option)",
            "problem.policy.eos_id", "context.hub", "context.clock.now(x)", "response.weight", "noise.unifrom(C, T)",
            "policy.modle", "event.problem", "ledger.forwards", "clock.steps", "result.text", "scored.energies.sum()",
            "sea.Noises", "sea.Aligner.alignn", "Scored.nlls", "SoftResponse.alife", "Slopes", "x = problem.slope",
            "scored.energies.totals",
            "problem.total_energy(scored.energie)", "f(problem, noise.unifrom(C, T))",
            "problem.score_as_text(a.b(problem.id))",
        ],
    )  # fmt: skip
    def test_a_name_that_does_not_exist_is_found(self, name):
        assert unknown_names(f"Text, `{name}` and\nmore.") != []

    @pytest.mark.parametrize(
        "name",
        [
            "sea_toolkit.core.noise", "sea_toolkit.testing.check_energy", "sea_toolkit.core.noise.Noise.gumbel",
            "problem.start(noise)", "problem.total_energy(scored.energies.values())",
            "problem.clock.value(option)", "problem.policy.eos_ids", "context.use_model(a, b)",
            "response.expected_length()", "noise.uniform(C, T)", "policy.template_options", "policy.vocab_size",
            "scored.energies.total", "result.response", "result.json", "sea.align(prompts, recipe='r.toml')",
            "sea.Aligner", "Scored.nll", "Problem", "Number", "ValueError", "wheel.dist_info", "run/result.json",
        ],
    )  # fmt: skip
    def test_a_name_that_exists_passes(self, name):
        assert unknown_names(f"Text, `{name}` and\nmore.") == []

    def test_names_in_fenced_blocks_are_left_to_the_examples_and_lines_are_counted(self):
        text = "A\n\n```python\n`problem.slope`\n```\n\nin `two\nwords` and `problem.slope`\n"
        assert unknown_names(text) == ["8: problem.slope"]
