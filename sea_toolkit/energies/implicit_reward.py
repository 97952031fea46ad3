"""The energy `implicit-reward`: what a tuned language model prefers to the one that it was tuned from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import find_language_model
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.answer_likelihood import AnswerLikelihood
from sea_toolkit.readers.conversation_text import CONVERSATION, ConversationText, chat_for
from sea_toolkit.readers.language_model import language_model, language_model_outlook, text_only
from sea_toolkit.util.conversation import Message


class ImplicitReward(Energy):
    """−β (log π_a(y|x) − log π_b(y|x)), in nats: the reward that a model was trained to by DPO and its kin (Rafailov et
    al. 2023, eq. 5, without the term that depends on the prompt alone).

    Both read the conversation in their own chat templates. Their tokens need not be the policy's; with others the
    gradient comes through a bridge.

    Args:
        model: π_a, a catalog name, a local folder or a Hugging Face id of a causal LM.
        reference: π_b, the model that it was trained from; the policy itself if left out.
        beta: β of the training.
        normalize: "sum" over the tokens, or "mean": each model's log-probability per token of its own.
        end: count the token that ends the turn too, as training does; the answer is then taken as a finished one.
        template_options: variables of both chat templates.
        truncate: where the text has more tokens than a model can read, leave out the beginning of the prompt.
    """

    def __init__(
        self,
        *,
        model: str,
        reference: str | None = None,
        beta: float = 1.0,
        normalize: Literal["sum", "mean"] = "sum",
        end: bool = False,
        template_options: dict[str, Any] | None = None,
        truncate: bool = False,
    ) -> None:
        if model == reference:
            raise RecipeError(f"implicit-reward compares {model} with itself", expected="two models")
        self.model, self.reference, self.beta, self.normalize = model, reference, beta, normalize
        self.end, self.template_options, self.truncate = end, template_options or {}, truncate
        self.reward_model = model
        self.label: str | None = model.rstrip("/").rpartition("/")[2]

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the models before any weights are read.

        Raises:
            ModelError: a name is unknown, or not that of a language model.
        """
        for name in (self.model, self.reference):
            if name is not None:
                find_language_model(name, finder)

    def outlook(self, foresight: Foresight) -> Outlook:
        """Two language models; the gradient comes by the longer road of the two."""
        sides = [language_model_outlook(name, foresight, "implicit-reward") for name in (self.model, self.reference)]
        roads = {road for road, _ in sides}
        return Outlook("bridge" if "bridge" in roads else "own tokens", [model for _, model in sides])

    def bind(self, context: Context) -> BoundEnergy:
        """Load the models, and run the prompts once.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: a prompt is too long for a model, or both are the policy.
        """
        tuned, reference = self._likelihood(self.model, context), self._likelihood(self.reference, context)
        if tuned.lm is reference.lm:
            raise RecipeError(
                f"implicit-reward compares {tuned.lm.name} with itself", expected="another model as the reference"
            )
        notes = [*tuned.warnings, *reference.warnings]

        def score_text(prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
            return self._energy(tuned.of_texts(prompts, texts), reference.of_texts(prompts, texts))

        for side in (tuned, reference):
            if not side.differentiable:
                notes.append(text_only("implicit-reward", side.lm.name, "caps, scales or shifts its logits"))
                return BoundEnergy(score_text=score_text, is_reward=True, warnings=notes)

        def energy(response: SoftResponse) -> Float[Tensor, "P C"]:
            value = self._energy(tuned.of_response(response), reference.of_response(response))
            return value.unflatten(0, response.shape[:2])

        return BoundEnergy(energy=energy, score_text=score_text, is_reward=True, warnings=notes)

    def _energy(self, tuned: tuple[Tensor, Tensor], reference: tuple[Tensor, Tensor]) -> Tensor:
        (a, tokens_a), (b, tokens_b) = tuned, reference
        if self.normalize == "mean":
            a, b = a / tokens_a.clamp(min=1.0), b / tokens_b.clamp(min=1.0)
        return self.beta * (b - a)

    def _likelihood(self, name: str | None, context: Context) -> AnswerLikelihood:
        lm = language_model(name, context)
        own = lm.chat
        turns = CONVERSATION if own is not None else (Message("user", "{prompt}{response}"),)
        chat = chat_for(
            turns,
            lm.tokenizer,
            lm.name,
            plain=own is None,
            options=self.template_options,
            date=None if own is None else own.date,
            own=lambda: own,
        )
        # plain text has no end of its own
        anchor = lm.tokenizer.decode([lm.usual_end]) if self.end and chat is None else ""
        shown = ConversationText(
            turns,
            lm.tokenizer,
            lm.name,
            chat,
            anchor=anchor,
            answers=False,
            limit=lm.context_length,
            truncate=self.truncate,
        )
        shown.frames(context.prompts, context.length)
        context.use_model(f"implicit-reward:{lm.name}", lm.model)
        return AnswerLikelihood(lm, shown, int(self.end), context)
