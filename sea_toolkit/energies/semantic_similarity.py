"""The energy `semantic-similarity`: an answer that means about the same as a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.loading import find_language_model, load_encoder
from sea_toolkit.problem.terms import Context
from sea_toolkit.readers.encoder import ModelEncoder, PolicyEncoder
from sea_toolkit.readers.language_model import places, text_only
from sea_toolkit.util.progress import Progress, silent

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub

NAME = "semantic-similarity"
_SHORT = 1e-2
"""Length, relative to the reference, below which an embedding counts as none: an empty answer has similarity 0."""


class SemanticSimilarity:
    """Minus the cosine similarity of the answer with a text, between the means of their tokens' hidden states.

    Of the policy itself those of a layer in the middle, less their mean over some sentences; of another model its last
    ones, without a gradient if its tokenizer is not the policy's.

    Args:
        text: what the answer is to mean, or a list with one text for each prompt.
        model: a local folder or a Hugging Face id of an encoder; the policy itself if left out.
        layer: of the policy, how many of its blocks run; half of them if left out.
        truncate: cut off the end of a text or answer that is too long for the model; otherwise this is an error.
    """

    def __init__(
        self,
        *,
        text: str | list[str],
        model: str | None = None,
        layer: int | None = None,
        truncate: bool = False,
    ) -> None:
        if model is None and truncate:
            raise RecipeError(f"{NAME} has truncate = true and no model", expected="truncate for a model of its own")
        if model is not None and layer is not None:
            raise RecipeError(
                f"{NAME} has layer = {layer} and a model of its own", expected="layer for the policy alone"
            )
        self.text, self.model, self.layer, self.truncate = text, model, layer, truncate

    def check(
        self, hub: PluginHub, tokenizer: Any, progress: Progress = silent, trust_remote_code: bool = False
    ) -> Path | str | None:
        """Find the model before any weights are read.

        Raises:
            ModelError: there is none of that name.
        """
        return None if self.model is None else find_language_model(self.model, hub, progress)

    def bind(self, context: Context) -> TextSimilarity:
        """Load the model, and embed the reference texts.

        Raises:
            ModelError: as `check`, unreadable weights, or a layer that is not there.
            RecipeError: a text is empty, or there are not as many as prompts.
        """
        texts = [self.text] * len(context.prompts) if isinstance(self.text, str) else self.text
        if len(texts) != len(context.prompts):
            raise RecipeError(
                f"{NAME} has {len(texts)} texts for {len(context.prompts)} prompts", expected="one, or one per prompt"
            )
        if not all(text.strip() for text in texts):
            raise RecipeError(f"a text of {NAME} is empty", expected="what the answer is to mean")
        source = self.check(
            context.hub, context.policy.tokenizer, context.progress or silent, context.trust_remote_code
        )
        if source is None or str(source) == context.policy.model.name_or_path:
            return SoftSimilarity(PolicyEncoder(context, self.layer, NAME), texts, context)
        assert self.model is not None
        name = self.model
        loaded = context.load_once(
            ("encoder", source),
            lambda: load_encoder(source, context.policy, name, trust_remote_code=context.trust_remote_code),
        )
        encoder = ModelEncoder(*loaded, context, name, NAME, self.truncate)
        encoder.check(texts, NAME)
        return (SoftSimilarity if encoder.reads_policy else TextSimilarity)(encoder, texts, context)


class TextSimilarity:
    """The energy of a run, on texts."""

    is_reward = True

    def __init__(self, encoder: PolicyEncoder | ModelEncoder, texts: Sequence[str], context: Context) -> None:
        self.encoder, self.prompts = encoder, context.prompts
        self.warnings: list[str] = []
        if isinstance(encoder, ModelEncoder):
            self.scorer = encoder
            if not encoder.reads_policy:
                self.warnings.append(text_only(NAME, encoder.name, "has another tokenizer than the policy"))
        self.wanted = encoder.texts(texts)

    @property
    def flops_per_token(self) -> float:
        """Forward."""
        return 2.0 * self.encoder.parameters

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """The energy of texts as answers to the run's prompts."""
        found = self.encoder.texts(texts)
        return -similarity(found, self.wanted[places(self.prompts, prompts, found.device)])


class SoftSimilarity(TextSimilarity):
    """The energy of a run, on responses in the policy's tokens."""

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        return -similarity(self.encoder.soft(response), self.wanted[:, None])


def similarity(found: Float[Tensor, "*rows D"], wanted: Float[Tensor, "*#rows D"]) -> Float[Tensor, "*rows"]:
    """Cosine, with 0 and a bounded slope at the origin."""
    size = wanted.norm(dim=-1, keepdim=True)
    scaled, unit = found / size, wanted / size
    return (scaled * unit).sum(-1) / (scaled.square().sum(-1) + _SHORT**2).sqrt()
