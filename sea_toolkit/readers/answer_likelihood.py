"""log p of answers under a language model with any tokenizer, as parts of a conversation in its own template."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, is_any
from sea_toolkit.lm.cross_entropy import expected_cost
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.conversation_text import ConversationText
from sea_toolkit.readers.language_model import aligned_with, images, linear_head, pieces_of
from sea_toolkit.readers.placed_reader import PlacedReader, Rows


class AnswerLikelihood:
    """Σ log p(u_s | u_<s) over the tokens u_s of the whole text that write the answer.

    At a text y of the policy's tokens, with x_t what position t has become and W̃ the images of the policy's tokens in
    the model's head, token u_s counts

        log p(u_s | moved u_<s) + h_{s−1} · Σ_t A[s, t] (x_t − W̃[y_t])

    whose value at the text is exact, and whose gradient is that of the log-probability of what the text becomes, to
    first order: the same as of the expectation over the position's tokens where the model has the policy's tokens.

    Args:
        lm: the model.
        shown: from prompt and answer to its text.
        ends: whether the token behind the answer, which ends the turn, counts too; None: where the response has ended.
        context: of the run.

    Attributes:
        differentiable: its logits are linear in the last hidden state.
        warnings: what a person should know of the values.
    """

    def __init__(self, lm: Policy, shown: ConversationText, ends: bool | None, context: Context) -> None:
        self.lm, self.ends, self.context = lm, ends, context
        head, alignment = linear_head(lm), aligned_with(lm.tokenizer, lm.table, lm.name, lm.name, context)
        self.reader = PlacedReader(lm.backbone, shown, alignment[0], context.prompts)
        self.warnings, self.differentiable = alignment[1], head is not None
        if head is not None:
            pieces = pieces_of(lm.tokenizer, lm.name, context)
            self.head = images(head, pieces, ("head", lm.name), context)

    def of_response(self, response: SoftResponse) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """Of P · C responses, and the number of tokens."""
        rows, ends = self.reader.aligned(response), self._ends(response)
        if rows.shares is None:
            return self._of_rows(rows, ends, None)
        own = torch.nn.functional.embedding(response.ids, self.head)
        become = (response.embed(self.head) - own).flatten(0, 1)
        return self._of_rows(rows, ends, rows.shares.to(become) @ become)

    @torch.no_grad()
    def of_texts(self, prompts: Sequence[str], texts: Sequence[str]) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        """Of texts as answers to prompts of the run, and the number of tokens; NaN for one that is too long.

        Only where `ends` says of each text the same: a text alone does not tell whether it has ended.
        """
        assert self.ends is not None
        return self._of_rows(self.reader.texts(prompts, texts), [int(self.ends)] * len(texts), None)

    def _ends(self, response: SoftResponse) -> list[int]:
        """How many tokens behind each answer count."""
        if self.ends is not None:
            return [int(self.ends)] * (response.shape[0] * response.shape[1])
        ended = (is_any(response.ids, response.eos_ids) & (response.alive > 0.5)).any(-1)
        return [int(end) for end in ended.flatten().tolist()]

    def _of_rows(
        self, rows: Rows, ends: Sequence[int], become: Float[Tensor, "N L H"] | None
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
        states, device = self.reader.states(rows)[:, 0], rows.mask.device
        # the first answer token may follow the beginning itself, where it swallowed what stands before it
        before = torch.zeros_like(states[:, 0]) if rows.prefix is None else rows.prefix.last_hidden
        states = torch.cat([before[:, None], states], 1)
        where = [(n, s, rows.ids[n][s]) for n in range(len(rows.ids)) for s in self._counted(rows, n, ends[n])]
        total = torch.zeros(len(rows.ids), device=device)
        count = torch.zeros_like(total)
        if where:
            n, s, ids = torch.tensor(where, device=device).T
            hidden = states[n, s - torch.tensor(rows.begun, device=device)[n]]
            ones = torch.ones(len(ids), 1, device=device)
            values = -expected_cost(hidden, ones, ids[:, None], self.lm.logits)
            if become is not None:
                values = values + (hidden.float() * become[n, s].float()).sum(-1)
            total = total.index_add(0, n, values)
            count = count.index_add(0, n, ones[:, 0])
        return total.masked_fill(rows.unread, torch.nan), count

    def _counted(self, rows: Rows, n: int, ends: int) -> range:
        """The tokens of a whole text that write the answer, and those behind it that count as well."""
        assert rows.placed is not None
        answer = rows.placed[n]
        if answer is None:
            return range(0)
        written = [s for s, (start, end) in enumerate(answer.spans) if start < end]
        if written:
            first, last = written[0], written[-1] + 1
        else:  # an empty answer: what stands behind it follows what stands before it
            first = last = len(self.reader.shown.frame(self.reader.prompts[rows.prompts[n]])[0])
        return range(max(1, first), min(len(answer.ids), last + ends))
