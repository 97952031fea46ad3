"""Judges: rewards outside of the energy that read the chosen texts alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import torch

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.energies.reward import Reward
from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.lm.policy import Policy
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import read_classifier
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.output_choice import Activation, OutputChoice
from sea_toolkit.readers.probe import Probe
from sea_toolkit.readers.probe_reader import PolicyView, ProbeReader, is_probe
from sea_toolkit.readers.probed_model import load_probed
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import Reading
from sea_toolkit.readers.shown_to import shown_to
from sea_toolkit.registry.allowed import is_url
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.named_rewards import is_energy

READINGS, ACTIVATIONS = get_args(Reading), get_args(Activation)
OPTIONS = {
    "reads": " | ".join(READINGS),
    "output": "a label, an index or a table of weights",
    "activation": " | ".join(ACTIVATIONS),
    "truncate": "true or false",
    "template_options": "a table",
}
"""Option of a judge → what it takes; see the energy `reward`."""

Score = Callable[[Sequence[str], Sequence[str], Sequence[bool]], list[float]]
"""`score(prompts, texts, finished)`: N rewards."""


class Judge:
    """One judge, found but not loaded. It reads a text as the energy `reward` of the same model does.

    Args:
        spec: a reward's name (catalog, file, folder or Hugging Face id), or a mapping with `model` and, for a
            sequence classifier, `reads`, `output`, `activation`, `truncate` and `template_options` as the energy
            `reward` has them. A classifier may have a tokenizer of its own.
        finder: from names to models.

    Raises:
        RecipeError: an unknown option, one that a probe does not have, or a value that does not fit.
        ModelError: no such model, or a damaged probe.
    """

    def __init__(self, spec: str | Mapping[str, Any], finder: ModelFinder) -> None:
        options = {} if isinstance(spec, str) else {k: v for k, v in spec.items() if k != "model"}
        self.model, self.options = spec if isinstance(spec, str) else str(spec["model"]), options
        for key, value in options.items():
            _check_option(self.model, key, value)
        self.spec = {"model": self.model, **options}
        self.label = Reward(model=self.model).label
        self.finder = finder
        if is_energy(self.model, finder.hub):
            raise RecipeError(
                f"the judge {self.model!r} is an energy",
                expected="a reward model, which reads the chosen texts by itself (sea-toolkit models list)",
            )
        self.source = finder.find(self.model, "reward")
        if is_probe(self.source) and options:
            raise RecipeError(
                f"judge {self.label!r} is a probe, and has no {next(iter(options))}", expected="its name alone"
            )
        self._score: Score | None = None

    def refuse_if_in(self, composition: Composition) -> None:
        """Refuse a judge that the energy optimizes.

        Raises:
            RecipeError: the same model, or the same probe in another file, is in the energy.
        """
        for part in composition.parts:
            model = part.energy.reward_model
            names = [model] if isinstance(model, str) else model or ()
            # a server is no model that a judge could be
            if any(self._same(self.finder.find(name, "reward")) for name in names if not is_url(name)):
                raise RecipeError(
                    f"the judge {self.label!r} is in the energy, as {part.label!r}",
                    expected="a reward that no method is optimized for",
                    hint="another probe or classifier (sea-toolkit models list)",
                )

    def _same(self, source: Path | str) -> bool:
        if is_probe(source) and is_probe(self.source):
            own, other = Probe.load(self.source), Probe.load(source)
            return own.layer == other.layer and own.head.fingerprint == other.head.fingerprint
        return Path(source).resolve() == Path(self.source).resolve()

    def load(self, policy: Policy, prompts: Sequence[str], length: int) -> None:
        """Read the weights.

        Args:
            policy: gives device and dtype.
            prompts: all of the comparison.
            length: tokens of the longest answer.

        Raises:
            ModelError: unreadable, or a probe whose model cannot be had.
            RecipeError: a classifier has no such output, or cannot read so long a prompt and answer.
        """
        if is_probe(self.source):
            self._score = self._probe(self.source, policy, length)
        else:
            self._score = self._classifier(self.source, policy, prompts, length)

    def score(self, prompts: Sequence[str], texts: Sequence[str], finished: Sequence[bool]) -> list[float]:
        """The reward of N texts; higher is better."""
        assert self._score is not None
        return self._score(prompts, texts, finished)

    def _probe(self, source: Path, policy: Policy, length: int) -> Score:
        probe = Probe.load(source)
        view = PolicyView(probe, policy).view
        if view is None:
            model, tokenizer = load_probed(probe, source, self.finder, policy)
            return self._texts(model, tokenizer, ["judge"], length, {"reads": "response"})
        prefix = policy.prefix(policy.encode(["judge"], 1))  # a probe reads the response alone
        ledger = Ledger()
        context = Context(policy, ["judge"], prefix, 1, ledger, Clock(), self.finder, Meter(ledger))
        reader = ProbeReader(probe, view, self.label, context)

        @torch.no_grad()
        def score(prompts: Sequence[str], texts: Sequence[str], finished: Sequence[bool]) -> list[float]:
            response = policy.from_text([[text] for text in texts], torch.tensor(finished)[:, None])
            rewards: list[float] = reader(response).flatten().tolist()
            return rewards

        return score

    def _classifier(self, source: Path | str, policy: Policy, prompts: Sequence[str], length: int) -> Score:
        trust = self.finder.trust_remote_code
        tokenizer = read_tokenizer(source, self.label, trust_remote_code=trust)
        model = read_classifier(source, policy, self.label, trust_remote_code=trust)
        return self._texts(model, tokenizer, prompts, length, dict(self.options))

    def _texts(self, model: Any, tokenizer: Any, prompts: Sequence[str], length: int, options: dict[str, Any]) -> Score:
        wanted, activation = options.pop("output", None), options.pop("activation", "none")
        shown = shown_to(model, tokenizer, f"the judge {self.label}", **options)
        reader = ClassifierReader(model, shown)
        choice = OutputChoice.of(model.config, shown.name, wanted, activation)
        shown.frames(prompts, length)  # finds a prompt that is too long now rather than after hours

        def score(prompts: Sequence[str], texts: Sequence[str], finished: Sequence[bool]) -> list[float]:
            rewards: list[float] = choice(reader.texts(prompts, texts)).tolist()
            return rewards

        return score


def _check_option(model: str, key: str, value: Any) -> None:
    if key not in OPTIONS:
        raise RecipeError(f"judge {model!r} has no option {key!r}", hint=did_you_mean(key, OPTIONS))
    fits = {
        "reads": value in READINGS,
        "output": isinstance(value, str | int | Mapping) and not isinstance(value, bool),
        "activation": value in ACTIVATIONS,
        "truncate": isinstance(value, bool),
        "template_options": isinstance(value, Mapping),
    }
    if not fits[key]:
        raise RecipeError(f"judge {model!r}: {key} = {value!r}", expected=OPTIONS[key])
