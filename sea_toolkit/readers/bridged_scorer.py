"""A sequence classifier with a tokenizer of its own: the exact value of the text, and a gradient through a bridge.

The policy's tokens y_1 … y_T spell a text, which the classifier's tokenizer cuts into pieces u_1 … u_S. The classifier
is fed

    e_s = E[u_s] + Σ_t A[s, t] · (x_t − Ẽ[y_t]),      x_t = Σ_v p_t(v) Ẽ[v]

with E its embedding, Ẽ the bridge table (`PieceTable`) and A[s, t] the share of piece s that token t writes. At a text,
x_t = Ẽ[y_t]: the value is that of the model's own forward pass. The gradient with respect to p_t(v) is
⟨Σ_s A[s, t] ∂r/∂e_s, Ẽ[v]⟩, to first order in what a token stands for; where the bridge has been measured, it is mixed
with the scores of single words (`WordPrior`). Where an answer ends has no image in the pieces, and gets no gradient.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.bridge import Bridge
from sea_toolkit.readers.piece_alignment import PieceAlignment, texts_of
from sea_toolkit.readers.response_scorer import ResponseScorer
from sea_toolkit.readers.sequence_classifier import ClassifierReader


class BridgedScorer(ResponseScorer):
    """Outputs `[P, C, L]` of a classifier that has other tokens than the policy.

    Args:
        reader: of texts.
        bridge: from the policy's tokens to the reader's.
        context: of the run.

    Raises:
        RecipeError: prompt and answer are too long for the model.
    """

    def __init__(self, reader: ClassifierReader, bridge: Bridge, context: Context) -> None:
        super().__init__(reader, context)
        assert bridge.table is not None
        self.bridge, self.alignment = bridge, PieceAlignment(context.policy, bridge.table)
        # an estimate, by as many pieces as tokens: a text that turns out too long is NaN
        self.shown.frames(self.prompts, context.length)
        road = "a bridge" if bridge.measured is None else "a bridge and the scores of single words"
        better = "; `sea-toolkit bridge` measures a better one, once" if bridge.measured is None else ""
        self.warnings.append(bridge.pieces.note(self.shown.name, road) + better)

    @property
    def fingerprint(self) -> str | None:
        return self.bridge.fingerprint

    def warnings_about(self, output: int) -> list[str]:
        """Among them a gradient that was measured to be poor: below half of what it is for the reward's own tokens."""
        measured = self.bridge.measured
        fidelity = None if measured is None else measured.fidelity[output]
        if fidelity is not None and fidelity.all.mixture < 0.5 * fidelity.ceiling:
            note = (
                f"the gradient of {self.shown.name} agrees poorly with what words do to it: rank correlation "
                f"{fidelity.all.mixture:.2f}, and {fidelity.ceiling:.2f} for its own tokens; a sampler without a "
                "gradient may do as well"
            )
            if note not in self.warnings:  # a second energy may read the same output
                self.warnings.append(note)
        return self.warnings

    def outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        p, c = response.shape[:2]
        texts, prompts = (
            texts_of(response, self.alignment.policy),
            [prompt for prompt in self.prompts for _ in range(c)],
        )
        change = self.alignment.change(response)
        if change is None:
            return self.reader.texts(prompts, texts).unflatten(0, (p, c))
        placed = [self.shown.placed(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        change = change.to(self.reader.table.device)
        embeds, mask = self.alignment.embeds(response, texts, placed, change, self.reader.embedding)
        outputs = self.reader.read(embeds[None], mask[None], beside=self.reader.beside(placed))[0]
        unread = torch.tensor([answer is None or not answer.ids for answer in placed], device=outputs.device)
        outputs = outputs.masked_fill(unread[:, None], torch.nan).unflatten(0, (p, c)).to(response.ids.device)
        measured = self.bridge.measured
        return outputs if measured is None else measured.prior.guide(outputs, response, response.content > 0.5)
