"""sea_toolkit: align language models at inference time.

Importing this package is cheap: torch comes in with the first name that needs it. A plugin uses the names
listed here and in `sea_toolkit.testing`; every other module may change.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sea_toolkit.errors import ModelError, NumericalError, OutOfMemoryError, PluginError, RecipeError, SeaError
from sea_toolkit.events import Event
from sea_toolkit.hookspecs import SEA_API, Register, hookimpl
from sea_toolkit.util.version import VERSION

if TYPE_CHECKING:
    from sea_toolkit.aligner import Aligner
    from sea_toolkit.api import align, resume
    from sea_toolkit.core.clock import Clock
    from sea_toolkit.core.ledger import Ledger
    from sea_toolkit.core.noise import Noise, categorical
    from sea_toolkit.core.response import SoftResponse, after_end
    from sea_toolkit.evaluation.calibrate import Calibration, calibrate
    from sea_toolkit.evaluation.compare import compare
    from sea_toolkit.evaluation.fit_compass import FittedCompass, fit_compass
    from sea_toolkit.evaluation.front import Front
    from sea_toolkit.evaluation.pages import write_report
    from sea_toolkit.evaluation.pareto import pareto
    from sea_toolkit.evaluation.preferences import preferences
    from sea_toolkit.evaluation.reward_function import reward_function
    from sea_toolkit.evaluation.score import Score, Scorer, score
    from sea_toolkit.integrations.transformers import custom_generate
    from sea_toolkit.lm.decoding import Decoded, decode
    from sea_toolkit.lm.embedding_space import EmbeddingSpace
    from sea_toolkit.lm.policy import Policy
    from sea_toolkit.models.finder import ModelFinder
    from sea_toolkit.models.named import NamedModel
    from sea_toolkit.models.wheel_files import WheelFiles
    from sea_toolkit.problem.columns import Columns
    from sea_toolkit.problem.context import Context
    from sea_toolkit.problem.energy import BoundEnergy, Energy
    from sea_toolkit.problem.initializer import Initializer
    from sea_toolkit.problem.outlook import Foresight, Outlook
    from sea_toolkit.problem.problem import Problem
    from sea_toolkit.readers.probe import Probe
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.registry.options import Number
    from sea_toolkit.runs.explanation import Explanation
    from sea_toolkit.runs.recipe import Recipe
    from sea_toolkit.runs.result import Interrupted, Result
    from sea_toolkit.samplers.base import Info, Law, Sampler, select_chains
    from sea_toolkit.samplers.shared.latent import hard_ids, latent_of
    from sea_toolkit.samplers.shared.metropolis import metropolis
    from sea_toolkit.schedules.reactive import Observation
    from sea_toolkit.shards.align_many import ManyAnswers, align_many
    from sea_toolkit.util.conversation import Prompt
    from sea_toolkit.util.progress import Progress
    from sea_toolkit.work.job import Job

__version__ = VERSION
__all__ = [
    "SEA_API", "Aligner", "BoundEnergy", "Calibration", "Clock", "Columns", "Context", "Decoded",
    "EmbeddingSpace", "Energy", "Event", "Explanation", "FittedCompass", "Foresight", "Front", "Info",
    "Initializer", "Interrupted", "Job", "Law", "Ledger", "ManyAnswers", "ModelError", "ModelFinder",
    "NamedModel", "Noise", "Number", "NumericalError", "Observation", "OutOfMemoryError", "Outlook",
    "PluginError", "PluginHub", "Policy", "Probe", "Problem", "Progress", "Prompt", "Recipe", "RecipeError",
    "Register", "Result", "Sampler", "Score", "Scorer", "SeaError", "SoftResponse", "WheelFiles", "after_end",
    "align", "align_many", "calibrate", "categorical", "compare", "custom_generate", "decode", "fit_compass",
    "hard_ids", "hookimpl", "latent_of", "metropolis", "pareto", "preferences", "resume", "reward_function",
    "score", "select_chains", "write_report",
]  # fmt: skip

_LAZY = {
    "Aligner": "aligner",
    "BoundEnergy": "problem.energy",
    "Calibration": "evaluation.calibrate",
    "Clock": "core.clock",
    "Columns": "problem.columns",
    "Context": "problem.context",
    "Decoded": "lm.decoding",
    "EmbeddingSpace": "lm.embedding_space",
    "Energy": "problem.energy",
    "Explanation": "runs.explanation",
    "FittedCompass": "evaluation.fit_compass",
    "Foresight": "problem.outlook",
    "Front": "evaluation.front",
    "Info": "samplers.base",
    "Initializer": "problem.initializer",
    "Interrupted": "runs.result",
    "Job": "work.job",
    "Law": "samplers.base",
    "Ledger": "core.ledger",
    "ManyAnswers": "shards.align_many",
    "ModelFinder": "models.finder",
    "NamedModel": "models.named",
    "Noise": "core.noise",
    "Number": "registry.options",
    "Observation": "schedules.reactive",
    "Outlook": "problem.outlook",
    "PluginHub": "registry.hub",
    "Policy": "lm.policy",
    "Probe": "readers.probe",
    "Problem": "problem.problem",
    "Progress": "util.progress",
    "Prompt": "util.conversation",
    "Recipe": "runs.recipe",
    "Result": "runs.result",
    "Sampler": "samplers.base",
    "Score": "evaluation.score",
    "Scorer": "evaluation.score",
    "SoftResponse": "core.response",
    "WheelFiles": "models.wheel_files",
    "after_end": "core.response",
    "align": "api",
    "align_many": "shards.align_many",
    "calibrate": "evaluation.calibrate",
    "categorical": "core.noise",
    "compare": "evaluation.compare",
    "custom_generate": "integrations.transformers",
    "decode": "lm.decoding",
    "fit_compass": "evaluation.fit_compass",
    "hard_ids": "samplers.shared.latent",
    "latent_of": "samplers.shared.latent",
    "metropolis": "samplers.shared.metropolis",
    "pareto": "evaluation.pareto",
    "preferences": "evaluation.preferences",
    "resume": "api",
    "reward_function": "evaluation.reward_function",
    "score": "evaluation.score",
    "select_chains": "samplers.base",
    "write_report": "evaluation.pages",
}


def __getattr__(name: str) -> Any:
    if name == "testing":
        return importlib.import_module("sea_toolkit.testing")
    if name in _LAZY:
        return getattr(importlib.import_module(f"sea_toolkit.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'sea_toolkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What Tab offers: the public names, whether they are imported yet or not."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__")), "testing"})
