"""The energy `semantic-similarity`: an answer that means about the same as a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import load_encoder
from sea_toolkit.models.policy_source import find_language_model
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.encoder import ModelEncoder, PolicyEncoder
from sea_toolkit.readers.language_model import prompt_indices

NAME = "semantic-similarity"
_SHORT = 1e-2
"""Length, relative to the reference, below which an embedding counts as zero: an empty answer has similarity 0."""


class SemanticSimilarity(Energy):
    """Minus the cosine similarity of the answer with a text, between the means of their tokens' hidden states.

    The policy itself gives the states of a middle layer minus their mean over reference sentences. Another model gives
    its last states; with another tokenizer than the policy's, its gradient comes through a bridge.

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

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the model before any weights are read.

        Raises:
            ModelError: there is none of that name.
        """
        if self.model is not None:
            find_language_model(self.model, finder)

    def outlook(self, foresight: Foresight) -> Outlook:
        """A part of the policy, or a model of its own."""
        source = None if self.model is None else find_language_model(self.model, foresight.finder)
        if self.model is None or source is None or source == foresight.source:
            return Outlook("policy", [foresight.part_of_policy(f"{NAME}:policy", self.layer)])
        tokenizer = read_tokenizer(source, self.model, trust_remote_code=foresight.finder.trust_remote_code)
        model = foresight.model("base", source, self.model, f"{NAME}:{self.model}")
        return Outlook(foresight.road(tokenizer), [model])

    def bind(self, context: Context) -> BoundEnergy:
        """Load the model, and embed the reference texts.

        Raises:
            ModelError: as `check`, unreadable weights, or a layer that does not exist.
            RecipeError: a text is empty, or the number of texts is not the number of prompts.
        """
        texts = [self.text] * len(context.prompts) if isinstance(self.text, str) else self.text
        if len(texts) != len(context.prompts):
            raise RecipeError(
                f"{NAME} has {len(texts)} texts for {len(context.prompts)} prompts", expected="one, or one per prompt"
            )
        if not all(text.strip() for text in texts):
            raise RecipeError(f"a text of {NAME} is empty", expected="what the answer is to mean")
        source = None if self.model is None else find_language_model(self.model, context.finder)
        encoder: PolicyEncoder | ModelEncoder
        if self.model is None or source is None or str(source) == context.policy.model.name_or_path:
            encoder = PolicyEncoder(context, self.layer, NAME)
        else:
            name, policy, finder = self.model, context.policy, context.finder
            loaded = finder.load_once(
                ("encoder", source, policy.device, policy.dtype),
                lambda: load_encoder(source, policy, name, trust_remote_code=finder.trust_remote_code),
            )
            encoder = ModelEncoder(*loaded, source, context, name, NAME, self.truncate)
            encoder.check(texts, NAME)
        wanted = encoder.texts(texts)

        def energy(response: SoftResponse) -> Float[Tensor, "P C"]:
            return -similarity(encoder.soft(response), wanted[:, None])

        def score_text(prompts: Sequence[str], answers: Sequence[str]) -> Float[Tensor, " N"]:
            return -similarity(encoder.texts(answers), wanted[prompt_indices(context.prompts, prompts, wanted.device)])

        return BoundEnergy(energy=energy, score_text=score_text, is_reward=True, warnings=[*encoder.notes])


def similarity(vectors: Float[Tensor, "*rows D"], wanted: Float[Tensor, "*#rows D"]) -> Float[Tensor, "*rows"]:
    """Cosine similarity; 0 with a bounded gradient at the origin."""
    size = wanted.norm(dim=-1, keepdim=True)
    scaled, unit = vectors / size, wanted / size
    return (scaled * unit).sum(-1) / (scaled.square().sum(-1) + _SHORT**2).sqrt()
