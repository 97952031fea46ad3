"""The energy `judge`: a language model is asked a yes/no question about the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.meter import parameters_used
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.positions import cut_answers, fitting_frames
from sea_toolkit.lm.template import MARK
from sea_toolkit.lm.tokens import after_context, opened, start_of_text
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import find_language_model
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.readers.language_model import (
    language_model,
    prompt_indices,
    rows_for,
    same_tokens,
    text_ids,
    text_only,
)
from sea_toolkit.util.conversation import Message

TEMPLATE = "Message:\n{prompt}\n\nReply:\n{response}\n\nQuestion about the reply: {question} Answer with yes or no."
QUESTION = "Is the reply helpful and friendly?"


class Judge(Energy):
    """Minus the log-odds of yes against no, in nats, as the next token after a request that contains the answer.

    The odds are those of the tokens that spell the words: as given, lower case, capitalized and upper case, with a
    space before them or not. The request goes through the model's chat template, if it has one.

    The answer's tokens are put unchanged between the tokens of the text before and after it, so that no tokens merge at
    the seams. End `{response}` and the text before it with a line break, so that the model would read it the same way.
    Soft tokens go the same way, up to where the answer has more likely ended than not.

    Args:
        model: a catalog name, a local folder or a Hugging Face id of a causal LM; the policy itself if left out. With
            another vocabulary than the policy's there is no gradient.
        question: the text that replaces `{question}` in the template.
        template: the request, with `{response}` once, and `{prompt}` anywhere before it.
        yes: the word, or several, whose probability is to rise.
        no: the word, or several, against it.
        truncate: where the request has more tokens than the model can read, leave out the beginning of the prompt in
            it; otherwise this is an error.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        question: str = QUESTION,
        template: str = TEMPLATE,
        yes: str | list[str] = "yes",
        no: str | list[str] = "no",
        truncate: bool = False,
    ) -> None:
        before, placeholder, after = template.partition("{response}")
        if not placeholder or "{response}" in after or "{prompt}" in after:
            raise RecipeError(
                f"the template of judge is {template!r}", expected="{response} once, and {prompt} only before it"
            )
        self.model, self.before, self.after = model, before, after.replace("{question}", question)
        self.question, self.truncate = question, truncate
        self.yes, self.no = ([words] if isinstance(words, str) else words for words in (yes, no))

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the model before any weights are read.

        Raises:
            ModelError: the name is unknown, or not that of a language model.
        """
        if self.model is not None:
            find_language_model(self.model, finder)

    def bind(self, context: Context) -> BoundEnergy:
        """Load the model, and run the text before the answers once.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: a word for yes or no that is not a single token, or a request that is too long for the model.
        """
        lm = language_model(self.model, context)
        reads_policy = same_tokens(lm, context.policy)
        judge = Verdicts(self, lm, context, reads_policy)
        if reads_policy:
            return BoundEnergy(energy=judge.energy, score_text=judge.score_text, is_reward=True)
        note = text_only("judge", lm.name, "has another tokenizer than the policy")
        return BoundEnergy(score_text=judge.score_text, is_reward=True, warnings=[note])

    def request(self, prompt: str) -> str:
        """The request with a mark for the answer; placeholders inside the prompt are left as they are."""
        texts = {"{prompt}": prompt, "{question}": self.question}
        return re.sub(r"\{(?:prompt|question)\}", lambda match: texts[match.group()], self.before) + MARK + self.after


class Verdicts:
    """Minus the log-odds of yes for the answers of a run.

    Args:
        settings: the words and the request.
        lm: the model that is asked.
        context: of the run.
        reads_policy: `lm` has the policy's tokens, and reads relaxed answers too.
    """

    def __init__(self, settings: Judge, lm: Policy, context: Context, reads_policy: bool) -> None:
        self.lm, self.prompts = lm, context.prompts
        request = settings.request(context.prompts[0])
        self.codec = context.policy.answers if reads_policy else after_context(lm.tokenizer, request.partition(MARK)[0])
        self.table = rows_for(lm.table, context.policy) if reads_policy else None
        yes, no = spellings(settings.yes, lm), spellings(settings.no, lm)
        if yes & no:
            raise RecipeError(f"judge takes {lm.decode(sorted(yes & no))!r} for yes and for no")
        self.yes, self.no = sorted(yes), sorted(no)
        frames = fitting_frames(
            context.prompts,
            lambda prompt: framed(settings.request(prompt), lm),
            lambda around: sum(map(len, around)),
            context.length,
            lm.context_length,
            f"the request of judge to {lm.name}",
            tokenizer=lm.tokenizer,
            truncate=settings.truncate,
        )
        self.truncate = settings.truncate
        before, self.after = [pre for pre, _ in frames], frames[0][1]
        if not all(before) or not self.after:
            raise RecipeError(
                "the request of judge has nothing before the answer or nothing after it",
                expected="a template with words around {response}",
            )
        self.around = max(map(len, before)) + len(self.after)
        # the answer and the text after it, spread over the answer's tokens
        body = parameters_used(lm.backbone.base) * (context.length + len(self.after))
        cost = 2.0 * (body + lm.head_parameters) / context.length
        context.use_model(f"judge:{lm.name}", lm.model, flops_per_token=cost)
        self.prefix = lm.prefix(before)

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Of responses in the policy's tokens."""
        assert self.table is not None
        return self._energy(self.prefix, response.embed(self.table), response.content > 0.5)

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """The energy of texts as answers to the run's prompts."""
        ids, mask = text_ids(self.codec, texts, self.lm.device)
        prefix = self.prefix.select(prompt_indices(self.prompts, prompts, ids.device))
        with torch.no_grad():
            return self._energy(prefix, self.lm.backbone.embedding(ids), mask).squeeze(1)

    def _energy(
        self, prefix: Prefix, embeds: Float[Tensor, "P C T D"], mask: Bool[Tensor, "P C T"]
    ) -> Float[Tensor, "P C"]:
        lm = self.lm
        (embeds,), mask, cut = cut_answers([embeds], mask, self.around, lm.context_length)
        p, c, _, _ = embeds.shape
        tail = lm.backbone.embedding(torch.tensor(self.after, device=embeds.device))
        embeds = torch.cat([embeds, tail.expand(p, c, -1, -1)], 2)
        mask = torch.nn.functional.pad(mask, (0, len(tail)), value=True)
        logits = lm.logits(lm.backbone.hidden(prefix, embeds, mask)[:, :, -1])
        odds = logits[..., self.no].logsumexp(-1) - logits[..., self.yes].logsumexp(-1)
        return odds if self.truncate else odds.masked_fill(cut, torch.nan)


def spellings(words: Sequence[str], lm: Policy) -> set[int]:
    """The tokens that spell one of the words.

    Raises:
        RecipeError: a word is not a single token.
    """
    token_ids: set[int] = set()
    for word in words:
        texts = {space + form for space in ("", " ") for form in (word, word.lower(), word.capitalize(), word.upper())}
        ids = [row for place in (start_of_text(lm.tokenizer), lm.answers) for row in place.encode(sorted(texts))]
        one_token_ids = {row[0] for row in ids if len(row) == 1}
        if not one_token_ids:
            raise RecipeError(
                f"{word!r} is no single token of {lm.name}", expected="a word that is, for yes and for no"
            )
        token_ids |= one_token_ids
    return token_ids


def framed(request: str, lm: Policy) -> tuple[list[int], list[int]]:
    """Token ids before and after the answer."""
    if lm.chat is not None:
        request = lm.chat.render([Message("user", request)], add_generation_prompt=True)
    before, _, after = request.partition(MARK)
    first = lm.tokenizer(before, add_special_tokens=False).input_ids if lm.chat else opened(lm.tokenizer, before)
    return list(first), after_context(lm.tokenizer, before).encode([after], special=True)[0]
