"""Errors, declared lacks, names, settings: what the checks share."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit import testing
from sea_toolkit.errors import RecipeError, SeaError
from sea_toolkit.samplers.tilted import TiltedExact
from sea_toolkit.testing import ConformanceError, Setting, check_energy, check_sampler, check_schedule
from sea_toolkit.testing.toys import policy
from tests.helpers import PROMPTS, hub
from tests.testing.mutants.energies import crowded, half_detached, mean_of_nothing
from tests.testing.mutants.samplers import Mysterious

ON = {"hub": hub()}
SHORT = {"prompts": PROMPTS[:2], "chains": 2, "length": 6, **ON}
"""For samplers, whose steps decode token by token."""


def brevity(response, *, per_token: float = 0.1):
    """Costs per token."""
    return per_token * response.expected_length()


def test_an_error_says_what_which_property_and_what_to_try():
    with pytest.raises(AssertionError) as caught:
        check_energy(mean_of_nothing, Setting(**ON))
    error = caught.value
    assert isinstance(error, ConformanceError)
    assert isinstance(error, SeaError)
    assert (error.item, error.property) == ("energy 'mean_of_nothing'", "finite")
    lines = str(error).splitlines()
    assert lines[0].startswith("energy 'mean_of_nothing', finite: an energy is not finite (")
    assert lines[1] == "expected: finite for hard, relaxed, empty and unfinished answers"
    assert lines[2].startswith("try: an answer may be empty")


class Crowd(sea.Energy):
    """Chains repel each other."""

    joint = True

    def bind(self, context):
        return crowded


def test_what_is_lacking_on_purpose_is_named_and_the_rest_is_checked():
    held = check_energy(Crowd, Setting(**ON))
    assert "chains permute" in held
    assert "chains alone" not in held
    assert "gradient" not in check_energy(half_detached, Setting(lacks=["gradient"], **ON))


def test_a_lack_that_is_none_is_an_error():
    with pytest.raises(ConformanceError, match="declared to lack this, and has it"):
        check_energy(brevity, Setting(lacks=["chains alone"], **ON))


def test_a_property_that_there_is_not_cannot_be_lacking():
    with pytest.raises(SeaError, match="did you mean 'chains alone'"):
        check_energy(brevity, Setting(lacks=["chain alone"], **ON))


def test_options_may_have_any_name():
    def odd(response, *, energy: float, setting: float = 1.0, thing: float = 1.0):
        return energy * setting * thing * response.expected_length()

    assert check_energy(odd, Setting(**ON), energy=1.0, setting=2.0, thing=0.5)


@pytest.mark.parametrize("small", [{"prompts": ["a"]}, {"chains": 1}, {"length": 3}])
def test_a_setting_in_which_nothing_can_be_compared_is_refused(small):
    with pytest.raises(SeaError, match="at least"):
        Setting(**small)


def test_a_name_that_there_is_not():
    with pytest.raises(ConformanceError, match="builds: it is refused") as caught:
        check_schedule("linaer", Setting(**ON))
    assert isinstance(caught.value.__cause__, RecipeError)


def test_another_policy_and_texts_of_ones_own():
    seen = []

    def marks(prompts, texts):
        seen.extend(texts)
        return [float(text.count("!")) for text in texts]

    check_energy(marks, Setting(texts=["hey!", "ho"], **ON))
    assert {"hey!", "ho"} <= set(seen)
    assert check_energy(brevity, Setting(policy=policy(6), prompts=["ab", "c"], chains=2, length=5, **ON))


def test_a_law_of_ones_own():
    def colder(energies):
        return (-2.0 * energies).softmax(-1)

    assert "law" in check_sampler(Mysterious, Setting(law=colder, **SHORT), inverse_temperature=2.0)
    with pytest.raises(ConformanceError, match="law: its chains do not follow the law"):
        check_sampler(Mysterious, Setting(law=colder, **SHORT), inverse_temperature=1.0)


class Strict(TiltedExact):
    """Refuses every energy without a gradient, which the toolkit's own samplers of texts do not."""

    needs_gradient = "every-term"


def test_the_law_of_a_sampler_that_refuses_terms_without_a_gradient():
    assert "law" in check_sampler(Strict, Setting(**SHORT))


def test_a_law_that_is_shown_elsewhere_is_named():
    assert "law" not in check_sampler(Mysterious, Setting(lacks=["law"], **SHORT))


def test_the_global_streams_are_as_before():
    before = torch.get_rng_state()
    check_energy(brevity, Setting(**ON))
    assert torch.equal(before, torch.get_rng_state())


def test_the_public_names_are_there_and_importing_them_is_light():
    for name in testing.__all__:
        assert getattr(testing, name).__doc__
    with pytest.raises(AttributeError):
        _ = testing.check_nothing
    code = "import sys, sea_toolkit.testing, sea_toolkit.testing.pytest_plugin; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_rest_of_the_toolkit_does_not_need_the_kit():
    """No module imports it, at its top or in a function; `sea_toolkit.testing` comes by its name alone."""
    kit, package = Path(testing.__file__).parent, Path(sea.__file__).parent
    for path in package.rglob("*.py"):
        if not path.is_relative_to(kit):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                named += [name.name for name in node.names] if isinstance(node, ast.Import) else []
                assert not any(name.startswith("sea_toolkit.testing") for name in named), path
