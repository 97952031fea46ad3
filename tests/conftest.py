"""Fixtures shared by the suite; shapes and types of sea_toolkit are checked while its tests run."""

from __future__ import annotations

import functools
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Tiny matrices gain nothing from a second thread, and wait for it a thousand times on a busy machine; before torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jaxtyping
import pytest
from hypothesis import HealthCheck, settings

import tests.checker

# An installed sea_toolkit has brought its pytest plugin, and with it the package: imported again, with checks.
for name in [name for name in sys.modules if name.partition(".")[0] == "sea_toolkit"]:
    del sys.modules[name]
jaxtyping.jaxtyped = tests.checker.checked  # by this name the hook's modules call it
jaxtyping.install_import_hook("sea_toolkit", "tests.checker.typed")

# The same examples in every run, however long one takes; `pytest --hypothesis-profile=default` looks for others.
settings.register_profile("suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")

# A shell that starts the suite in the background lets it ignore Ctrl-C, which some tests press.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONG = (
    "docs/test_examples.py", "docs/test_recipes.py", "testing/test_builtin.py", "testing/test_mutants.py",
    "runs/test_resume.py", "docs/test_longest_page.py", "evaluation/test_compare.py", "plugins/test_packages.py",
    "runs/test_run.py", "plugins/test_new_plugin.py", "samplers/test_exact_discrete_langevin.py",
    "samplers/test_left_to_right.py", "cli/test_align.py", "conventions/test_end_of_turn.py",
    "architectures/test_causal.py", "engines/test_engines.py", "cli/test_crew.py", "models/test_tensor_parallel.py",
    "models/test_compiled_blocks.py",
)  # fmt: skip
"""Files that take longest. They come first, so that at the end no worker waits for another that has just begun one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files in `LONG` first, the others in their order."""
    place = {Path(__file__).parent / file: i for i, file in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path, len(LONG)))


def pytest_runtest_setup() -> None:
    """Each test checks the first calls anew."""
    tests.checker.begin_test()


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("sea-x", source)` writes a distribution as pip leaves it, on `sys.path`; returns its module's file.

    The module is called like the distribution; `points` maps entry-point names to values. Caches go to a folder of
    the test's own.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("SEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SEA_PLUGINS", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(
        name: str,
        source: str | None = "",
        *,
        version: str = "1.0",
        points: Mapping[str, str] | None = None,
        folder: Path = site,
    ) -> Path:
        module = name.replace("-", "_").lower()
        info = folder / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{key} = {value}" for key, value in (points or {module: module}).items()]
        (info / "entry_points.txt").write_text("\n".join(["[sea_toolkit]", *lines, ""]))
        (info / "RECORD").write_text(f"{module}.py,,\n")
        file = folder / f"{module}.py"
        if source is not None:
            file.write_text(textwrap.dedent(source))
        return file

    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture(scope="session", autouse=True)
def bridges(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Bridges that tests measure do not go to the user's cache, where the models of other tests are."""
    from sea_toolkit.readers import bridge_file

    folder, usual = tmp_path_factory.mktemp("cache"), bridge_file.cache_folder
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bridge_file, "cache_folder", lambda: usual() if os.environ.get("SEA_CACHE") else folder)
        yield


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """Folder of the real 135M model, pulled if need be; for tests marked `real_model`."""
    from sea_toolkit.models.resolve import model_of
    from sea_toolkit.registry.hub import PluginHub

    return model_of(PluginHub.discover(plugins=[]).get("model", "smollm2-135m")).pull(lambda done, total, what: None)


@pytest.fixture(scope="session")
def loaded_smollm2(smollm2: Path) -> Callable[..., Any]:
    """The real model as a policy: `loaded_smollm2("float32")`. It is read once, for all tests that only use it."""
    from sea_toolkit.models.finder import ModelFinder
    from sea_toolkit.models.loading import load_policy
    from sea_toolkit.models.policy_spec import PolicySpec
    from sea_toolkit.registry.hub import PluginHub

    @functools.cache
    def load(dtype: str = "auto") -> Any:
        return load_policy(PolicySpec(dtype=dtype), ModelFinder(PluginHub.discover(plugins=[])))

    return load


@pytest.fixture
def smollm2_stays_loaded(loaded_smollm2: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks a session for the real model as it is gets the one that is loaded, as an `Aligner` would do it."""
    from sea_toolkit.models.policy_spec import PolicySpec
    from sea_toolkit.runs import session

    plain = session.load_policy

    def load(spec: PolicySpec, finder: Any, check: Callable[[Any], None] | None = None) -> Any:
        if spec != PolicySpec(dtype=spec.dtype):
            return plain(spec, finder, check)
        policy = loaded_smollm2(spec.dtype)
        if check is not None:
            check(policy.tokenizer)
        return policy

    monkeypatch.setattr(session, "load_policy", load)
