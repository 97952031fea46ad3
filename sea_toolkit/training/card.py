"""The model card of a probe, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from sea_toolkit.readers.probe import Probe
from sea_toolkit.training.fit import Fit
from sea_toolkit.training.train import Trained


def card(trained: Trained, probe: Probe) -> str:
    """What the probe is, what it was trained on, how it does on test data, and the command that makes it again."""
    info, best = probe.info, trained.chosen
    measure = "share of pairs in the right order" if "pairs" in trained.description else "mean of both classes"
    files = "\n".join(f"| {name} | {n} | {share:.3f} |" for name, (n, share) in trained.per_file.items())
    head, chosen = "A linear reward", "layer and regularisation"
    if info.hidden:
        head, chosen = f"A reward with one hidden layer of {info.hidden} ({info.activation})", f"{chosen}, or epochs"
    name, share = trained.baseline
    correlation = ""
    if best.test_correlation is not None:
        correlation = f" Rank correlation with the ratings or labels: {best.test_correlation:.3f}."
    return f"""# {info.name}

{head} on block {info.layer} of {trained.model.layers} of `{info.model}`, averaged over the tokens
of the response. The reward is a logit.

- Data: {info.data}, at most {trained.settings.max_tokens} tokens of each text.
- Licence of the data: {info.license}.
- Test accuracy: {best.test_accuracy:.3f} ({measure}), AUC {best.test_auc:.3f}, on rows that took no part in
  training or in the choice of {chosen}.{correlation}
- Right on {trained.test_right:.3f} of the test rows; {name} is right on {share:.3f}.
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
    stops = any(fit.epochs for fit in fits)
    lines = [
        f"| layer | λ |{' epochs |' if stops else ''} validation accuracy | test accuracy | test AUC |",
        "|---" * (6 if stops else 5) + "|",
    ]
    for fit in fits:
        layer = f"**{fit.layer}**" if fit is best else str(fit.layer)
        numbers = (fit.validation_accuracy, fit.test_accuracy, fit.test_auc)
        epochs = f" {fit.epochs} |" if stops else ""
        lines.append(f"| {layer} | {fit.strength:g} |{epochs} " + " | ".join(f"{n:.3f}" for n in numbers) + " |")
    return "\n".join(lines)
