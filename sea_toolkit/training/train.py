"""The whole training of a probe: split, features, fits and choice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import looks_ahead
from sea_toolkit.lm.fingerprint import ModelFacts, model_facts, state_sample
from sea_toolkit.lm.truncate import count_layers, truncate
from sea_toolkit.readers.probe import Probe, ProbeInfo
from sea_toolkit.training.examples import Examples
from sea_toolkit.training.features import pooled_features
from sea_toolkit.training.fit import Fit, Split, choose, fit_layers, right, split_by_group
from sea_toolkit.training.measures import baseline


@dataclass(frozen=True)
class Settings:
    """How to train; see `sea-toolkit train-probe --help`.

    `layers` empty means half of a language model's layers, and all of an encoder's.
    """

    layers: tuple[int, ...] = ()
    kind: Literal["auto", "labels", "pairs"] = "auto"
    hidden: int = 0
    tolerance: float = 0.01
    test_fraction: float = 0.2
    validation_fraction: float = 0.15
    max_rows: int = 5000
    max_tokens: int = 64
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Trained:
    """Every fit, the chosen one, and the facts for the card.

    Attributes:
        fits: one for each layer.
        chosen: of them.
        model: whose hidden states are read.
        state_sample: of that model at the chosen layer.
        description: of the data.
        settings: of the training.
        test_right: share of test rows that the chosen head gets right.
        baseline: what it has to beat, and the share that this gets right.
        per_file: file name to (test rows, share of them that is right).
    """

    fits: list[Fit]
    chosen: Fit
    model: ModelFacts
    state_sample: Float[Tensor, " D"]
    description: str
    settings: Settings
    test_right: float
    baseline: tuple[str, float]
    per_file: dict[str, tuple[int, float]]

    def named(self, name: str, model: str, license: str, command: str) -> Probe:
        """The chosen fit as a probe.

        Args:
            name: of the probe.
            model: where its user finds the model, see `ProbeInfo`.
            license: of the data.
            command: that made it.
        """
        info = ProbeInfo(
            name=name,
            model=model,
            model_type=self.model.model_type,
            hidden_size=self.model.hidden_size,
            model_layers=self.model.layers,
            vocabulary=self.model.vocabulary,
            layer=self.chosen.layer,
            accuracy=round(self.chosen.test_accuracy, 4),
            hidden=self.settings.hidden,
            license=license,
            data=self.description,
            command=command,
        )
        return Probe(self.chosen.head, self.state_sample, info)

    def summary(self) -> dict[str, Any]:
        """Numbers only, for JSON."""
        rows = [{k: v for k, v in vars(fit).items() if k != "head"} for fit in self.fits]
        settings = asdict(replace(self.settings, layers=tuple(fit.layer for fit in self.fits)))
        return {
            "data": self.description,
            "layer": self.chosen.layer,
            "layers": rows,
            "test_right": self.test_right,
            "baseline": {"name": self.baseline[0], "test_right": self.baseline[1]},
            "per_file": self.per_file,
            "settings": settings,
        }


@own_torch_state()
def train(
    model: Any,
    tokenizer: Any,
    name: str,
    examples: Examples,
    settings: Settings,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Trained:
    """Fit probes of the asked layers and choose one.

    Args:
        model: a language model or encoder; a head of its own is not read.
        tokenizer: its own.
        name: the model's, for messages.
        examples: labelled texts or pairs.
        settings: how to train.
        progress: called with (texts done, all of them, what).

    Raises:
        ModelError: the model does not have such a layer, or its layers are not understood.
        RecipeError: too few rows or groups for the split.
    """
    total = count_layers(model)
    layers = settings.layers or (total if looks_ahead(model) else max(1, total // 2),)
    if bad := [n for n in layers if not 1 <= n <= total]:
        raise ModelError(f"layer {bad[0]} was asked of {name}", expected=f"1 to {total}")
    split = split_by_group(examples.groups, settings.test_fraction, settings.validation_fraction, settings.seed)
    n = len(examples)
    pooled = pooled_features(
        model, tokenizer, examples.texts + examples.others, layers, max_tokens=settings.max_tokens, progress=progress
    )
    features: dict[int, tuple[Float[Tensor, "N D"], Float[Tensor, "N D"] | None]] = {
        layer: (f[:n], f[n:] if examples.pairs else None) for layer, f in pooled.items()
    }
    fits = fit_layers(features, examples, split, hidden=settings.hidden, seed=settings.seed)
    chosen = choose(fits, settings.tolerance)
    hits = right(chosen, *features[chosen.layer], examples.labels)
    test: dict[str, list[float]] = {}
    for i in split.test.tolist():
        test.setdefault(examples.sources[i], []).append(float(hits[i]))
    device = model.get_input_embeddings().weight.device
    return Trained(
        fits,
        chosen,
        model_facts(model, tokenizer, name),
        state_sample(truncate(model, chosen.layer), tokenizer, device),
        _described(examples, split),
        settings,
        round(float(hits[split.test].double().mean()), 4),
        baseline(examples, split.train, split.test),
        {name: (len(values), round(sum(values) / len(values), 4)) for name, values in sorted(test.items())},
    )


def _described(examples: Examples, split: Split) -> str:
    sizes = f"{len(split.train)} train, {len(split.validation)} validation, {len(split.test)} test"
    if examples.pairs:
        return f"{len(examples)} pairs ({sizes})"
    good = sum(examples.labels)
    return f"{good} positive and {len(examples) - good} negative texts ({sizes})"
