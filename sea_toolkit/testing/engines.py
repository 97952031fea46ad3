"""`check_engine`: shards are answered by workers, whatever becomes of them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from sea_toolkit.errors import SeaError
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.shards.job import ShardJob
from sea_toolkit.shards.make_plan import make_plan
from sea_toolkit.shards.prompts_file import content_of
from sea_toolkit.shards.store import Store
from sea_toolkit.testing.conformance import reported, require
from sea_toolkit.testing.setting import PROMPTS, Setting, under_test
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer
from sea_toolkit.util.conversation import as_prompts

PROPERTIES = {
    "builds": "it registers, and takes these options",
    "answers": "when it returns, every shard is settled, though a worker's process has ended in the middle of one",
    "tells": "it tells of each shard that is settled, once, and of no other",
    "raises": "an error that concerns all shards ends it, and is what it raises",
}
"""What an engine promises, in the order of the documentation."""

_PLUGIN = '''
import os
from pathlib import Path
import sea_toolkit as sea

def ends_once(prompts, texts):
    """Length of the text; the first worker that is asked ends, if it has a process of its own."""
    mark = Path({mark!r})
    if os.getpid() != {parent} and not mark.exists():
        mark.touch()
        os._exit(9)
    return [float(len(text)) for text in texts]

@sea.hookimpl
def sea_register_energies(register):
    register("ends-once", ends_once)
'''


@reported
def check_engine(engine: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check an engine on three prompts and a tiny policy, with one worker.

    Args:
        engine: the function that is registered, or the name of an installed engine.
        setting: `lacks` and `hub` count here.
        **options: of the engine.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    setting = setting or Setting()
    with TemporaryDirectory() as folder, under_test("engine", engine, PROPERTIES, setting) as (checks, _, item):
        with checks("builds"):
            start = item.build(options)
        job, told = _job(Path(folder), "whole"), list[int]()
        with checks("answers"):
            start(job, told.append)
            require(not job.left(), f"it returns, and shards are left: {job.left()}", expected="new workers for those")
        with checks("tells"):
            require(sorted(told) == [0, 1, 2], f"of shards 0, 1 and 2 it tells {sorted(told)}")
        broken = _job(Path(folder), "of another version", sea_toolkit="0")
        with checks("raises"):
            try:
                start(broken, told.append)
            except SeaError as error:
                require("sea_toolkit: 0 then" in str(error), "it raises another error", detail=str(error))
            else:
                require(False, "it returns, and its workers cannot carry out the plan")
    return checks.result


def _job(folder: Path, name: str, **versions: str) -> ShardJob:
    """A folder of three prompts in three shards, with a plugin that ends a worker; `versions` are others than ours."""
    plugin, model = folder / "ends_once.py", folder / "model"
    if not plugin.exists():
        plugin.write_text(_PLUGIN.format(mark=str(folder / "ended"), parent=os.getpid()), encoding="utf-8")
        tiny_model("llama").save_pretrained(model)
        tiny_tokenizer().save_pretrained(model)
    recipe = {
        "policy": {"model": str(model), "device": "cpu"},
        "sampler": {"name": "suffix-mh", "steps": 1, "chains": 1},
        "energies": [{"name": "reference"}, {"name": "ends-once"}],
        "max_new_tokens": 3,
    }
    content = content_of(as_prompts(PROMPTS[:3]))
    composition = Session(PluginHub.discover(plugins=(), files=[plugin])).compose(Recipe.parse(recipe))
    plan = make_plan(
        composition,
        3,
        hashlib.sha256(content).hexdigest(),
        1,
        checkpoint_every=1,
        explains=False,
        threads=torch.get_num_threads(),
    )
    Store.begin(folder / name, replace(plan, versions={**plan.versions, **versions}), content)
    return ShardJob(folder / name, plugins={str(plugin): plugin.read_text(encoding="utf-8")})
