"""The energy `judge`: a language model is asked a yes/no question about the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.positions import cut_answers, fitting_frames
from sea_toolkit.models.loading import find_language_model
from sea_toolkit.problem.terms import Context
from sea_toolkit.readers.language_model import language_model, places, rows_for, same_tokens, text_ids, text_only
from sea_toolkit.util.progress import Progress, silent

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub

TEMPLATE = "Message:\n{prompt}\n\nReply:\n{response}\n\nQuestion about the reply: {question} Answer with yes or no."
QUESTION = "Is the reply helpful and friendly?"
_MARK = "\u2063RESPONSE\u2063"


class Judge:
    """Minus the log-odds of yes against no, in nats, as the next token behind a request that holds the answer.

    The odds are those of the tokens that spell the words: as given, lower case, capitalized and upper case, with a
    space before them or not. The request goes through the model's chat template, if it has one.

    The answer's tokens are put into the request as they are, between the tokens of what stands before and after it:
    nothing merges at the seams. End `{response}` and what is before it with a line break, so that this is also how the
    model would read it. Soft tokens go the same way, up to where the answer has more likely ended than not.

    Args:
        model: a catalog name, a local folder or a Hugging Face id of a causal LM; the policy itself if left out. With
            another vocabulary than the policy's there is no gradient.
        question: what stands for `{question}` in the template.
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
        before, found, after = template.partition("{response}")
        if not found or "{response}" in after or "{prompt}" in after:
            raise RecipeError(
                f"the template of judge is {template!r}", expected="{response} once, and {prompt} only before it"
            )
        self.model, self.before, self.after = model, before, after.replace("{question}", question)
        self.question, self.truncate = question, truncate
        self.yes, self.no = ([words] if isinstance(words, str) else words for words in (yes, no))

    def check(
        self, hub: PluginHub, tokenizer: Any, progress: Progress = silent, trust_remote_code: bool = False
    ) -> Path | str | None:
        """Find the model before any weights are read.

        Raises:
            ModelError: there is none of that name, or it is no language model.
        """
        return None if self.model is None else find_language_model(self.model, hub, progress)

    def bind(self, context: Context) -> TextJudge:
        """Load the model, and run what stands before the answers once.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: a word for yes or no that is no token, or a request that is too long for the model.
        """
        lm = language_model(self.model, context)
        if same_tokens(lm, context.policy):
            return SoftJudge(self, lm, context)
        return TextJudge(self, lm, context, "has another tokenizer than the policy")

    def request(self, prompt: str) -> str:
        """The request with a mark for the answer; what stands in the prompt is not looked at for placeholders."""
        texts = {"{prompt}": prompt, "{question}": self.question}
        return re.sub(r"\{(?:prompt|question)\}", lambda found: texts[found.group()], self.before) + _MARK + self.after


class TextJudge:
    """The energy of a run, on texts."""

    is_reward = True

    def __init__(self, settings: Judge, lm: Policy, context: Context, reason: str = "") -> None:
        self.scorer, self.context = lm, context
        self.warnings = [text_only("judge", lm.name, reason)] if reason else []
        self.reader = lm if reason else context.policy
        yes, no = spellings(settings.yes, lm), spellings(settings.no, lm)
        if yes & no:
            raise RecipeError(f"judge takes {lm.decode(sorted(yes & no))!r} for yes and for no")
        self.yes, self.no = sorted(yes), sorted(no)
        frames = fitting_frames(
            context.prompts, lambda prompt: framed(settings.request(prompt), lm), lambda around: sum(map(len, around)),
            context.length, lm.context_length, f"the request of judge to {lm.name}", tokenizer=lm.tokenizer,
            truncate=settings.truncate,
        )  # fmt: skip
        self.truncate = settings.truncate
        before, self.after = [pre for pre, _ in frames], frames[0][1]
        if not all(before) or not self.after:
            raise RecipeError(
                "the request of judge has nothing before the answer or nothing after it",
                expected="a template with words around {response}",
            )
        self.around = max(map(len, before)) + len(self.after)
        self.prefix = lm.prefix(before)
        context.ledger.forward(f"judge:{lm.name}", sum(map(len, before)), lm.body_parameters)

    @property
    def flops_per_token(self) -> float:
        """Forward: the answer and what is behind it, spread over the answer's tokens."""
        lm, length = self.scorer, self.context.length
        return 2.0 * (lm.body_parameters * (length + len(self.after)) + lm.head_parameters) / length

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """The energy of texts as answers to the run's prompts."""
        ids, there = text_ids(self.reader, texts)
        prefix = self.prefix.select(places(self.context.prompts, prompts, ids.device))
        with torch.no_grad():
            return self._energy(prefix, self.scorer.backbone.embedding(ids), there).squeeze(1)

    def _energy(
        self, prefix: Prefix, embeds: Float[Tensor, "P C T D"], there: Bool[Tensor, "P C T"]
    ) -> Float[Tensor, "P C"]:
        lm = self.scorer
        (embeds,), there, cut = cut_answers([embeds], there, self.around, lm.context_length)
        p, c, _, _ = embeds.shape
        tail = lm.backbone.embedding(torch.tensor(self.after, device=embeds.device))
        embeds = torch.cat([embeds, tail.expand(p, c, -1, -1)], 2)
        there = torch.nn.functional.pad(there, (0, len(tail)), value=True)
        back = embeds.requires_grad
        self.context.ledger.forward(f"judge:{lm.name}", there.numel(), lm.body_parameters, backward=back)
        self.context.ledger.forward(f"judge:{lm.name}", p * c, lm.head_parameters, backward=back)
        logits = lm.logits(lm.backbone.hidden(prefix, embeds, there)[:, :, -1])
        odds = logits[..., self.no].logsumexp(-1) - logits[..., self.yes].logsumexp(-1)
        return odds if self.truncate else odds.masked_fill(cut, torch.nan)


class SoftJudge(TextJudge):
    """The energy of a run, on responses in the policy's tokens."""

    def __init__(self, settings: Judge, lm: Policy, context: Context) -> None:
        super().__init__(settings, lm, context)
        self.table = rows_for(lm.table, context.policy)

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        return self._energy(self.prefix, response.embed(self.table), response.content > 0.5)


def spellings(words: Sequence[str], lm: Policy) -> set[int]:
    """The tokens that spell one of the words.

    Raises:
        RecipeError: a word has none.
    """
    found: set[int] = set()
    for word in words:
        texts = {space + form for space in ("", " ") for form in (word, word.lower(), word.capitalize(), word.upper())}
        ids = [lm.tokenizer(text, add_special_tokens=False).input_ids for text in texts]
        single = {row[0] for row in ids if len(row) == 1}
        if not single:
            raise RecipeError(
                f"{word!r} is no single token of {lm.name}", expected="a word that is, for yes and for no"
            )
        found |= single
    return found


def framed(request: str, lm: Policy) -> tuple[list[int], list[int]]:
    """Token ids before and after the answer."""
    chat = lm.template == "chat"
    if chat:
        turns = [{"role": "user", "content": request}]
        request = lm.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    before, _, after = request.partition(_MARK)
    first = lm.tokenizer(before, add_special_tokens=not chat).input_ids
    return list(first), list(lm.tokenizer(after, add_special_tokens=False).input_ids)
