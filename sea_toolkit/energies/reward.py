"""The energy `reward`: the negative of a reward model that shares the policy's tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import ModelError
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.fingerprint import policy_fingerprint
from sea_toolkit.lm.truncate import truncate
from sea_toolkit.models.folder import refuse_file
from sea_toolkit.models.loading import check_tokenizer
from sea_toolkit.models.resolve import resolve_model
from sea_toolkit.models.weights_files import weights_files
from sea_toolkit.problem.terms import Context
from sea_toolkit.readers.probe import Probe
from sea_toolkit.readers.sequence_classifier import Reading, SequenceScorer, sequence_scorer
from sea_toolkit.util.progress import Progress, silent

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


class Reward:
    """−r(x, y), with r from a probe of the catalog or a Hugging Face sequence-classification model.

    The unit is that of the reward: log-odds for a probe, whatever it was trained to for another model.

    Args:
        model: a catalog name (`sea-toolkit models list`), a probe file, a local folder or a Hugging Face id.
        reads: what a sequence classifier is shown: the "response" alone, "prompt+response" as plain text, or the
            two in its tokenizer's "chat" template; "auto" is "chat" where there is a template, else "response".
            Probes read the response.
        output: which of several outputs is the reward, by label or index.
        truncate: where prompt and answer have more tokens than a classifier can read, leave out the beginning of the
            prompt; the end of an answer only if it is too long by itself. Otherwise this is an error, found before
            anything is drawn.
    """

    def __init__(
        self, *, model: str, reads: Reading = "auto", output: str | int | None = None, truncate: bool = False
    ) -> None:
        self.model, self.reads, self.output, self.truncate = model, reads, output, truncate
        self.name = Path(model).stem if model.endswith(".safetensors") else model.rstrip("/").rpartition("/")[2]
        self.label = self.name if output is None else output if isinstance(output, str) else f"{self.name}:{output}"

    def check(
        self, hub: PluginHub, tokenizer: Any, progress: Progress = silent, trust_remote_code: bool = False
    ) -> Path | str:
        """Find the model, and refuse what cannot go with the policy's tokenizer, before any weights are read.

        Raises:
            ModelError: no such model, a damaged probe, or another vocabulary than the policy's.
        """
        source = resolve_model(self.model, hub, "reward", progress)
        if not (isinstance(source, Path) and source.is_file()):
            check_tokenizer(source, self.name, tokenizer, trust_remote_code=trust_remote_code)
            return source
        if source.suffix != ".safetensors" or source.name in weights_files(source.parent):
            refuse_file(source, self.name)
        if self.reads not in ("auto", "response") or self.output is not None or self.truncate:
            raise ModelError(
                f"{self.name} is a probe, and its recipe sets `reads`, `output` or `truncate`",
                expected="neither: a probe reads the response and has one output",
            )
        Probe.load(source)
        return source

    def bind(self, context: Context) -> ProbeReward | SequenceReward:
        """Load the model and check that it fits the policy.

        Raises:
            ModelError: as `check`; a probe made for another policy; unreadable weights.
        """
        source = self.check(
            context.hub, context.policy.tokenizer, context.progress or silent, context.trust_remote_code
        )
        if isinstance(source, Path) and source.is_file():
            return ProbeReward(Probe.load(source), self.name, context)
        scorer = sequence_scorer(source, self.name, self.reads, context, truncate=self.truncate)
        return SequenceReward(scorer, scorer.output(self.output))


class ProbeReward:
    """A linear head on an early layer of the policy itself."""

    is_reward = True

    def __init__(self, probe: Probe, label: str, context: Context) -> None:
        policy = context.policy
        self.warnings = probe.check(policy_fingerprint(policy.model, policy.tokenizer, policy.name))
        self.probe, self.label, self.ledger = probe.to(policy.device), label, context.ledger
        trunk = truncate(policy.model, probe.layer)
        self.trunk = Backbone(trunk, policy.backbone.embedding, policy.name)
        self.table = policy.table
        self.parameters = sum(p.numel() for p in trunk.parameters()) - policy.backbone.weight.numel()

    @property
    def flops_per_token(self) -> float:
        """Forward."""
        return 2.0 * self.parameters

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        embeds = response.embed(self.table)
        p, c, t, _ = embeds.shape
        hidden = self.trunk.hidden(None, embeds)
        self.ledger.forward(f"reward:{self.label}", p * c * t, self.parameters, backward=embeds.requires_grad)
        return -self.probe.score_hidden(hidden, response.content)


class SequenceReward:
    """One output of a sequence-classification model."""

    is_reward = True

    def __init__(self, scorer: SequenceScorer, output: int) -> None:
        self.scorer, self.output = scorer, output

    @property
    def flops_per_token(self) -> float:
        """Forward."""
        return 2.0 * self.scorer.parameters

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        return -self.scorer(response)[..., self.output]
