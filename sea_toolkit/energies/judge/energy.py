"""The energy `judge`: a language model is asked about the answer, and the log-odds of its verdicts are the reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.meter import parameters_used
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.judge.forms import FORMS, QUESTION, Family, Form, family_of
from sea_toolkit.energies.judge.verdicts import Verdicts
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.tokens import after_context
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_source import find_language_model
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.conversation_text import ConversationText, Template, chat_for, turns_of
from sea_toolkit.readers.language_model import aligned_with, language_model, language_model_outlook, same_tokens
from sea_toolkit.readers.placed_reader import PlacedReader, Rows

_AROUND = 6
"""About how many tokens a chat template puts between the end of a request and the reply."""


class Judge(Energy):
    """Minus the log-odds, in nats, of the wanted verdicts against the others, as what a language model says next about
    the answer.

    It is asked a yes/no question in one user's turn; a guard of a known family (Llama Guard, ShieldGemma, Granite
    Guardian, Qwen3Guard, WildGuard) reads the conversation as its card says, and its own words for a harmless answer
    are wanted. A verdict of several tokens counts by its whole log-probability.

    A text is read as a whole, exactly as the judge's user would give it. Relaxed answers in the judge's own tokens go
    between the tokens before and after them, up to where the answer has more likely ended than not; a judge with other
    tokens than the policy's has its exact value, and a gradient through a bridge.

    Args:
        model: a catalog name, a local folder or a Hugging Face id of a causal LM; the policy itself if left out.
        guard: how it is asked: "question", or as a family of guards; "auto" knows a guard by its chat template.
        question: the text that replaces `{question}` in the template: whether the reply is helpful and friendly, if
            left out.
        template: what it reads, with `{response}` once and `{prompt}` anywhere before it: the text of one user's turn,
            or turns such as `[{ user = "{prompt}" }, { assistant = "{response}" }]`; it replaces the family's.
        anchor: the judge's own words before its verdict, such as "Safety:"; the family's if left out.
        yes: the verdict, or several, whose probability is to rise; the family's if left out.
        no: the verdict, or several, against it; the family's if left out.
        exact: verdicts count as they are written, not in all spellings that are one token; as the family has it if
            left out.
        plain: the template is one text, and all that the model reads: no chat template is put around it.
        template_options: variables of the chat template, such as `{ guideline = "…" }`.
        truncate: where the request has more tokens than the model can read, leave out the beginning of the prompt in
            it; otherwise this is an error.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        guard: Literal["auto"] | Family = "auto",
        question: str | None = None,
        template: Template | None = None,
        anchor: str | None = None,
        yes: str | list[str] | None = None,
        no: str | list[str] | None = None,
        exact: bool | None = None,
        plain: bool | None = None,
        template_options: dict[str, Any] | None = None,
        truncate: bool = False,
    ) -> None:
        self.model, self.guard, self.question, self.truncate = model, guard, question, truncate
        self.changes: dict[str, Any] = {"anchor": anchor, "exact": exact, "plain": plain, "options": template_options}
        if template is not None:
            self.changes["turns"] = turns_of(template, "judge")
        for side, words in (("yes", yes), ("no", no)):
            self.changes[side] = None if words is None else (words,) if isinstance(words, str) else tuple(words)

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the model before any weights are read.

        Raises:
            ModelError: the name is unknown, or not that of a language model.
        """
        if self.model is not None:
            find_language_model(self.model, finder)

    def outlook(self, foresight: Foresight) -> Outlook:
        """A language model that reads the end of the request behind each answer."""
        turns = self.changes.get("turns") or FORMS["question" if self.guard == "auto" else self.guard].turns
        behind = turns[-1].content.partition("{response}")[2].replace("{question}", self.question or QUESTION)
        more = len(foresight.tokenizer(behind).input_ids) + _AROUND
        road, model = language_model_outlook(self.model, foresight, "judge", more=more, has_head=False)
        return Outlook(road, [model])

    def bind(self, context: Context) -> BoundEnergy:
        """Load the model, and run the text before the answers once.

        Raises:
            ModelError: as `check`, or unreadable weights; a chat template that leaves the answer out.
            RecipeError: verdicts that cannot be told apart, or a request that is too long for the model.
        """
        lm = language_model(self.model, context)
        opinion = Opinion(self, lm, context)
        return BoundEnergy(
            energy=opinion.energy, score_text=opinion.score_text, is_reward=True, warnings=opinion.warnings
        )

    def form(self, lm: Policy) -> Form:
        """How the model is asked."""
        family = self.guard
        if family == "auto":
            # a template or a question of one's own is asked as it stands
            own = "turns" in self.changes or self.question is not None
            family = "question" if own or lm.chat is None else family_of(lm.chat.written) or "question"
        form = replace(FORMS[family], **{key: value for key, value in self.changes.items() if value is not None})
        if self.question is not None and not any("{question}" in turn.content for turn in form.turns):
            raise RecipeError(
                f"judge has the question {self.question!r}, and what it reads has no place for one",
                expected="{question} in the template",
                hint='leave the question out, or guard = "question"',
            )
        return form


class Opinion:
    """Minus the log-odds of the wanted verdicts for the answers of a run.

    Args:
        settings: how the model is asked.
        lm: the model.
        context: of the run.

    Attributes:
        warnings: what a person should know of the values.
    """

    def __init__(self, settings: Judge, lm: Policy, context: Context) -> None:
        self.lm, form = lm, settings.form(lm)
        own = lm.chat
        chat = chat_for(
            form.turns,
            lm.tokenizer,
            lm.name,
            plain=form.plain or own is None,
            options=form.options,
            date=None if own is None else own.date,
            own=lambda: own,
        )
        request = ConversationText(
            form.turns,
            lm.tokenizer,
            f"the request of judge to {lm.name}",
            chat,
            texts={"question": settings.question or QUESTION},
            anchor=form.anchor,
            limit=lm.context_length,
            truncate=settings.truncate,
        )
        around = request.around(context.prompts[0])
        if not around.before or not around.after:
            raise RecipeError(
                "the request of judge has nothing before the answer or nothing after it",
                expected="a template with words around {response}",
            )
        place = after_context(lm.tokenizer, around.before + around.after)
        self.verdicts = Verdicts(form.yes, form.no, form.exact, lm, place)
        if request.limit is not None:
            request.limit -= self.verdicts.longest
        self.frames = request.frames(context.prompts, context.length)
        self.own_tokens = same_tokens(lm, context.policy)
        # the token before the answer, the answer and the text after it, spread over the answer's tokens
        behind = 1 + len(self.frames[0][1]) + self.verdicts.longest
        body = parameters_used(lm.backbone.base) * (context.length + behind) * len(self.verdicts.stems)
        cost = 2.0 * (body + lm.head_parameters) / context.length
        context.use_model(f"judge:{lm.name}", lm.model, flops_per_token=cost)
        alignment, self.warnings = aligned_with(lm.tokenizer, lm.table, lm.name, lm.name, context)
        self.reader = PlacedReader(lm.backbone, request, alignment, context.prompts)

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Of responses."""
        relaxed = self.own_tokens and response.texts is None
        rows = self.reader.straight(response, self.frames) if relaxed else self.reader.aligned(response)
        return self._energy(rows).unflatten(0, response.shape[:2])

    @torch.no_grad()
    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """The energy of texts as answers to the run's prompts; NaN for one that is too long for the model."""
        return self._energy(self.reader.texts(prompts, texts))

    def _energy(self, rows: Rows) -> Float[Tensor, " N"]:
        stems = self.verdicts.stems
        states = self.reader.states(rows, stems)
        n, width = rows.mask.shape
        last = (torch.arange(width, device=states.device) * rows.mask).amax(-1)
        behind = torch.arange(width, width + self.verdicts.longest, device=states.device).expand(n, -1)
        places = torch.cat([last[:, None], behind], 1)[:, None, :, None].expand(-1, len(stems), -1, states.shape[-1])
        log_probs = self.lm.logits(states.gather(2, places)).log_softmax(-1)
        return -self.verdicts.log_odds(log_probs).masked_fill(rows.unread, torch.nan)
