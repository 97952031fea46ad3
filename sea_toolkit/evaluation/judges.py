"""Judges: rewards that are not in the energy and read nothing but the chosen texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.energies.reward import Reward
from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.positions import fitting_frames, usable_positions
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import read_classifier
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.probe import Probe
from sea_toolkit.readers.probe_reader import ProbeReader
from sea_toolkit.runs.compose import Composition

OPTIONS = ("reads", "output", "truncate")
READINGS = ("auto", "response", "prompt+response", "chat")


class Judge:
    """One judge, found but not loaded.

    Args:
        spec: a reward's name (catalog, file, folder or Hugging Face id), or a mapping with `model` and, for a
            sequence classifier, `reads`, `output` and `truncate` as the energy `reward` has them. A classifier
            may have a tokenizer of its own.
        finder: from names to models.

    Raises:
        RecipeError: an unknown option, or one that a probe does not have.
        ModelError: no such model, or a damaged probe.
    """

    def __init__(self, spec: str | Mapping[str, Any], finder: ModelFinder) -> None:
        given = {"model": spec} if isinstance(spec, str) else dict(spec)
        self.model = str(given.pop("model"))
        for key in given:
            if key not in OPTIONS:
                raise RecipeError(f"judge {self.model!r} has no option {key!r}", hint=did_you_mean(key, OPTIONS))
        self.reads, self.output = given.get("reads", "auto"), given.get("output")
        if self.reads not in READINGS:
            raise RecipeError(f"judge {self.model!r}: reads = {self.reads!r}", expected=" | ".join(READINGS))
        truncate = given.get("truncate", False)
        if not isinstance(truncate, bool):
            raise RecipeError(f"judge {self.model!r}: truncate = {truncate!r}", expected="true or false")
        self.truncate: bool = truncate
        self.spec = {"model": self.model, **given}
        self.label = Reward(model=self.model).label
        self.finder = finder
        self.source = self.finder.find(self.model, "reward")
        self.is_probe = isinstance(self.source, Path) and self.source.is_file()
        if self.is_probe and given:
            raise RecipeError(
                f"judge {self.label!r} is a probe, and has no {next(iter(given))}", expected="its name alone"
            )
        self._scorer: Any = None

    def refuse_if_in(self, composition: Composition) -> None:
        """A judge of what it was optimized for is none.

        Raises:
            RecipeError: the same model, or the same probe in another file, is in the energy.
        """
        for part in composition.parts:
            name = part.energy.reward_model
            if name is not None and self._same(self.finder.find(name, "reward")):
                raise RecipeError(
                    f"the judge {self.label!r} is in the energy, as {part.label!r}",
                    expected="a reward that no method is optimized for",
                    hint="another probe or classifier (sea-toolkit models list)",
                )

    def _same(self, source: Path | str) -> bool:
        if isinstance(source, Path) and source.is_file() and self.is_probe:
            own, other = Probe.load(Path(self.source)), Probe.load(source)
            return own.layer == other.layer and torch.equal(own.weight, other.weight)
        return Path(source).resolve() == Path(self.source).resolve()

    def load(
        self,
        policy: Policy,
        prompts: Sequence[str],
        length: int,
    ) -> None:
        """Read the weights.

        Args:
            policy: gives device and dtype.
            prompts: all of the comparison.
            length: tokens of the longest answer.

        Raises:
            ModelError: unreadable, or a probe of another policy.
            RecipeError: a classifier has no such output, or cannot read so long a prompt and answer.
        """
        if self.is_probe:
            self._scorer = self._probe(policy)
        else:
            tokenizer = read_tokenizer(self.source, self.label, trust_remote_code=self.finder.trust_remote_code)
            model = read_classifier(self.source, policy, self.label, trust_remote_code=self.finder.trust_remote_code)
            self._scorer = self._classifier(model, tokenizer, prompts, length)

    def score(self, prompts: Sequence[str], texts: Sequence[str], finished: Sequence[bool]) -> list[float]:
        """The reward of N texts; higher is better."""
        found: list[float] = self._scorer(prompts, texts, finished)
        return found

    def _probe(self, policy: Policy) -> Any:
        prefix = policy.prefix(policy.encode(["judge"], 1))  # a probe reads the response alone
        ledger = Ledger()
        context = Context(policy, ["judge"], prefix, 1, ledger, Clock(), self.finder, Meter(ledger))
        reader = ProbeReader(Probe.load(Path(self.source)), self.label, context)

        @torch.no_grad()
        def score(prompts: Sequence[str], texts: Sequence[str], finished: Sequence[bool]) -> list[float]:
            response = policy.from_text([[text] for text in texts], torch.tensor(finished)[:, None])
            found: list[float] = reader(response).flatten().tolist()
            return found

        return score

    def _classifier(self, model: Any, tokenizer: Any, prompts: Sequence[str], length: int) -> Any:
        labels = {str(name): int(i) for i, name in model.config.id2label.items()}
        if self.output is None and len(labels) > 1:
            raise RecipeError(
                f"judge {self.label!r} has {len(labels)} outputs", expected=f"output = one of {list(labels)}"
            )
        index = 0 if self.output is None else labels.get(str(self.output), self.output)
        if not isinstance(index, int) or not 0 <= index < len(labels):
            raise RecipeError(f"judge {self.label!r} has no output {index!r}", hint=did_you_mean(str(index), labels))
        reads = self.reads
        if reads == "auto":
            reads = "chat" if getattr(tokenizer, "chat_template", None) else "response"
        limit = usable_positions(model)

        def encoded(prompt: str, text: str) -> list[int]:
            if reads == "chat":
                turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": text}]
                shown = tokenizer.apply_chat_template(turns, tokenize=False)
            else:
                shown = f"{prompt.rstrip()} {text}" if reads == "prompt+response" else text
            ids: list[int] = tokenizer(shown, add_special_tokens=reads != "chat").input_ids
            return ids

        def fitted(prompt: str, text: str, room: int) -> list[int]:
            (ids,) = fitting_frames(
                [prompt], lambda shorter: encoded(shorter, text), len, room, limit, f"the judge {self.label}",
                tokenizer=tokenizer, truncate=self.truncate,
            )  # fmt: skip
            return ids if limit is None else ids[:limit]

        for prompt in prompts:
            fitted(prompt, "", length)

        @torch.no_grad()
        def score(prompts: Sequence[str], texts: Sequence[str], finished: Sequence[bool]) -> list[float]:
            found = []
            for prompt, text in zip(prompts, texts, strict=True):  # one by one: no padding, of which models differ
                ids = encoded(prompt, text)
                if limit is not None and len(ids) > limit:  # an answer that its own tokens make longer
                    ids = fitted(prompt, text, 0) if self.truncate else []
                if not ids:  # nothing that it could read
                    found.append(float("nan"))
                    continue
                logits = model(input_ids=torch.tensor([ids], device=model.device)).logits
                found.append(float(logits[0, index]))
            return found

        return score
