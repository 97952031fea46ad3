"""The whole training of a probe: split, features, fits, choice, and the model card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import ModelError
from sea_toolkit.lm.fingerprint import PolicyFingerprint, policy_fingerprint
from sea_toolkit.lm.truncate import count_layers
from sea_toolkit.readers.probe import Probe, ProbeInfo
from sea_toolkit.training.examples import Examples
from sea_toolkit.training.features import pooled_features
from sea_toolkit.training.fit import Fit, choose, fit_layers, right, split_by_group


@dataclass(frozen=True)
class Settings:
    """How to train; `layers` empty means half of the policy's layers. See `sea-toolkit train-probe --help`."""

    layers: tuple[int, ...] = ()
    kind: Literal["auto", "labels", "pairs"] = "auto"
    tolerance: float = 0.01
    test_fraction: float = 0.2
    validation_fraction: float = 0.15
    max_rows: int = 5000
    max_tokens: int = 64
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Trained:
    """Every fit, the chosen one, and the facts for the card."""

    fits: list[Fit]
    chosen: Fit
    policy: PolicyFingerprint
    description: str
    settings: Settings
    per_file: dict[str, tuple[int, float]]
    """File name to (test rows, share of them that is right)."""

    def named(self, name: str, license: str, command: str) -> Probe:
        """The chosen fit as a probe."""
        info = ProbeInfo(
            name=name,
            policy=self.policy.name,
            model_type=self.policy.model_type,
            hidden_size=self.policy.hidden_size,
            policy_layers=self.policy.layers,
            vocabulary=self.policy.vocabulary,
            layer=self.chosen.layer,
            accuracy=round(self.chosen.test_accuracy, 4),
            license=license,
            data=self.description,
            command=command,
        )
        return Probe(self.chosen.weight, self.chosen.bias, self.policy.embedding_sample, info)

    def summary(self) -> dict[str, Any]:
        """Numbers only, for JSON."""
        rows = [{k: v for k, v in vars(fit).items() if k not in ("weight", "bias")} for fit in self.fits]
        settings = asdict(replace(self.settings, layers=tuple(fit.layer for fit in self.fits)))
        return {
            "data": self.description,
            "layer": self.chosen.layer,
            "layers": rows,
            "per_file": self.per_file,
            "settings": settings,
        }


@own_torch_state()
def train(
    model: Any,
    tokenizer: Any,
    policy_name: str,
    examples: Examples,
    settings: Settings,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
) -> Trained:
    """Fit probes of the asked layers and choose one.

    Raises:
        ModelError: the policy does not have such a layer.
        RecipeError: too few rows or groups for the split.
    """
    total = count_layers(model)
    layers = settings.layers or (max(1, total // 2),)
    if bad := [n for n in layers if not 1 <= n <= total]:
        raise ModelError(f"layer {bad[0]} was asked of {policy_name}", expected=f"1 to {total}")
    split = split_by_group(examples.groups, settings.test_fraction, settings.validation_fraction, settings.seed)
    n = len(examples)
    pooled = pooled_features(
        model, tokenizer, examples.texts + examples.others, layers, max_tokens=settings.max_tokens, progress=progress
    )
    features: dict[int, tuple[Float[Tensor, "N D"], Float[Tensor, "N D"] | None]] = {
        layer: (f[:n], f[n:] if examples.pairs else None) for layer, f in pooled.items()
    }
    fits = fit_layers(features, examples, split)
    sizes = f"{len(split.train)} train, {len(split.validation)} validation, {len(split.test)} test"
    if examples.pairs:
        description = f"{n} pairs ({sizes})"
    else:
        good = sum(examples.labels)
        description = f"{good} positive and {n - good} negative texts ({sizes})"
    chosen = choose(fits, settings.tolerance)
    hits = right(chosen, *features[chosen.layer], examples.labels)
    test: dict[str, list[float]] = {}
    for i in split.test.tolist():
        test.setdefault(examples.sources[i], []).append(float(hits[i]))
    per_file = {name: (len(values), round(sum(values) / len(values), 4)) for name, values in sorted(test.items())}
    fingerprint = policy_fingerprint(model, tokenizer, policy_name)
    return Trained(fits, chosen, fingerprint, description, settings, per_file)


def card(trained: Trained, probe: Probe) -> str:
    """The model card, in Markdown."""
    info, best = probe.info, trained.chosen
    measure = "share of pairs in the right order" if "pairs" in trained.description else "mean of both classes"
    files = "\n".join(f"| {name} | {n} | {share:.3f} |" for name, (n, share) in trained.per_file.items())
    return f"""# {info.name}

A linear reward on block {info.layer} of {trained.policy.layers} of `{info.policy}`, averaged over the tokens
of the response. The reward is a logit.

- Data: {info.data}, at most {trained.settings.max_tokens} tokens of each text.
- Licence of the data: {info.license}.
- Test accuracy: {best.test_accuracy:.3f} ({measure}), AUC {best.test_auc:.3f}, on rows that took no part in
  training or in the choice of layer and regularisation.
- It reads the response without the prompt, and knows only what such texts can teach: check what a run
  produces with a second judge.

{_layer_table(trained.fits, best)}

| file | test rows | right |
|---|---|---|
{files}

## Reproduce

```sh
{info.command}
```
"""


def _layer_table(fits: Sequence[Fit], best: Fit) -> str:
    lines = ["| layer | λ | validation accuracy | test accuracy | test AUC |", "|---|---|---|---|---|"]
    for fit in fits:
        layer = f"**{fit.layer}**" if fit is best else str(fit.layer)
        numbers = (fit.validation_accuracy, fit.test_accuracy, fit.test_auc)
        lines.append(f"| {layer} | {fit.strength:g} | " + " | ".join(f"{n:.3f}" for n in numbers) + " |")
    return "\n".join(lines)
