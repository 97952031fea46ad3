"""A Hugging Face sequence classifier that reads a soft response, inside whatever text it expects around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError, did_you_mean
from sea_toolkit.lm.backbone import Backbone
from sea_toolkit.lm.positions import cut_answers, fitting_frames, usable_positions
from sea_toolkit.lm.tokens import wrapping
from sea_toolkit.models.loading import load_classifier
from sea_toolkit.problem.context import Context

Reading = Literal["auto", "response", "prompt+response", "chat"]
_MARK = "\u2063RESPONSE\u2063"


class LatestOutput:
    """What a model said of the latest response, for a second energy that asks for another of its outputs.

    Outputs with a graph are not kept: each energy differentiates its own.
    """

    def __init__(self) -> None:
        self._response: SoftResponse | None = None
        self._output: Tensor | None = None

    def of(self, response: SoftResponse, compute: Callable[[SoftResponse], Tensor]) -> Tensor:
        """`compute(response)`, computed once for the same object."""
        if self._output is not None and self._response is response:
            return self._output
        output = compute(response)
        self._response, self._output = (None, None) if output.requires_grad else (response, output)
        return output


class SequenceScorer:
    """Logits of a sequence classifier for P × C responses.

    A decoder-style classifier is read at the last token that is there, by our own mask: transformers looks for a
    padding token, which `inputs_embeds` do not have (transformers #34218). What precedes the response is run once.

    Args:
        model: from `AutoModelForSequenceClassification`, on the policy's device.
        tokenizer: the model's own; the same vocabulary as the policy's.
        name: for messages and the ledger.
        reads: see `Reward`; not "auto".
        context: of the run.
        truncate: see `Reward`.

    Raises:
        RecipeError: prompt and answer are too long for the model.
    """

    def __init__(
        self, model: Any, tokenizer: Any, name: str, reads: Reading, context: Context, truncate: bool = False
    ) -> None:
        self.model, self.tokenizer, self.name = context.use_model(f"reward:{name}", model), tokenizer, name
        embedding = model.get_input_embeddings()
        self.embedding = embedding
        self.is_decoder = hasattr(model, "score")
        self.limit = usable_positions(model)
        frames = fitting_frames(
            context.prompts, lambda prompt: self._frame(prompt, reads), lambda around: sum(map(len, around)),
            context.length, self.limit, name, tokenizer=tokenizer, truncate=truncate,
        )  # fmt: skip
        self.truncate, self._latest = truncate, LatestOutput()
        self.before = [pre for pre, _ in frames]
        self.after = frames[0][1]
        if self.is_decoder:
            base = getattr(model, model.base_model_prefix)
            self.backbone = Backbone(base, embedding, name)
            self.prefix = self.backbone.prefix(self.before) if self.before[0] else None
            self.table = self.backbone.table
        else:
            self.table = embedding.weight.detach()

    def output(self, wanted: str | int | None) -> int:
        """Index of the output that a recipe names.

        Raises:
            RecipeError: no such output, or several and none named.
        """
        labels = {str(name): int(i) for i, name in self.model.config.id2label.items()}
        if wanted is None:
            if len(labels) > 1:
                raise RecipeError(f"{self.name} has {len(labels)} outputs", expected=f"output = one of {list(labels)}")
            return 0
        if isinstance(wanted, int) and 0 <= wanted < len(labels):
            return wanted
        if str(wanted) not in labels:
            raise RecipeError(f"{self.name} has no output {wanted!r}", hint=did_you_mean(str(wanted), labels))
        return labels[str(wanted)]

    def _frame(self, prompt: str, reads: str) -> tuple[list[int], list[int]]:
        """Token ids before and after the response."""
        if reads == "chat":
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": _MARK}]
            before, after = self.tokenizer.apply_chat_template(turns, tokenize=False).split(_MARK)
            ids = [self.tokenizer(part, add_special_tokens=False).input_ids for part in (before, after)]
            return ids[0], ids[1]
        if reads == "prompt+response":
            middle = self.tokenizer(prompt.rstrip() + " ", add_special_tokens=False).input_ids
        else:
            middle = []
        before, after = wrapping(self.tokenizer)
        return [*before, *middle], after

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        """All outputs, float32; the response's soft end is cut where survival falls below one half.

        The outputs of a text that has more tokens than the model can read are NaN, unless it may be truncated.
        """
        return self._latest.of(response, self._outputs)

    def _outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        around = max(map(len, self.before)) + len(self.after)
        (embeds,), there, cut = cut_answers([response.embed(self.table)], response.content > 0.5, around, self.limit)
        p, c, _, _ = embeds.shape
        tail = torch.tensor(self.after, device=embeds.device, dtype=torch.long)
        if len(self.after):
            embeds = torch.cat([embeds, self.embedding(tail).expand(p, c, -1, -1)], 2)
            there = torch.cat([there, torch.ones_like(there[..., :1]).expand(-1, -1, len(tail))], -1)
        logits = self._decoder(embeds, there) if self.is_decoder else self._encoder(embeds, there)
        return logits if self.truncate else logits.masked_fill(cut[..., None], torch.nan)

    def _decoder(self, embeds: Tensor, there: Tensor) -> Tensor:
        if self.prefix is None and not bool(there.any(-1).all()):
            # an empty text has no token to be read at: let its first position stand in
            there = torch.cat([there[..., :1] | ~there.any(-1, keepdim=True), there[..., 1:]], -1)
        hidden = self.backbone.hidden(self.prefix, embeds, there)
        places = torch.arange(1, there.shape[-1] + 1, device=there.device) * there
        last = places.amax(-1)
        index = (last - 1).clamp(min=0)[..., None, None].expand(-1, -1, 1, hidden.shape[-1])
        read = hidden.gather(2, index).squeeze(2)
        if self.prefix is not None:
            read = torch.where((last > 0)[..., None], read, self.prefix.last_hidden[:, None])
        return self.model.score(read).float()

    def _encoder(self, embeds: Tensor, there: Tensor) -> Tensor:
        p, c = there.shape[:2]
        width = max(len(b) for b in self.before)
        rows = []
        for i, before in enumerate(self.before):
            ids = torch.tensor(before, device=embeds.device, dtype=torch.long)
            head = self.embedding(ids).expand(c, -1, -1)
            seen = torch.ones(c, len(before), dtype=torch.bool, device=embeds.device)
            # padding goes to the right end, where an encoder's own position ids do not see it
            pad = embeds.new_zeros(c, width - len(before), embeds.shape[-1])
            row = torch.cat([head, embeds[i], pad], 1), torch.cat([seen, there[i], pad[..., 0] > 0], 1)
            rows.append(row)
        all_embeds, mask = torch.cat([r[0] for r in rows]), torch.cat([r[1] for r in rows])
        # tokens that are not there leave no gap: positions are counted along the row
        order = (~mask).long().argsort(dim=-1, stable=True)
        all_embeds = all_embeds.gather(1, order[..., None].expand_as(all_embeds))
        logits = self.model(inputs_embeds=all_embeds, attention_mask=mask.gather(1, order).long()).logits
        return logits.float().unflatten(0, (p, c))


def sequence_scorer(
    source: Path | str, name: str, reads: Reading, context: Context, *, truncate: bool = False
) -> SequenceScorer:
    """The scorer of a classifier, for several energies of a run the same one: its weights are read once, and where no
    gradient is asked for it runs once for each response.

    Raises:
        ModelError: unreadable weights, or another vocabulary than the policy's.
        RecipeError: prompt and answer are too long for the model.
    """
    trust = context.finder.trust_remote_code
    model, tokenizer = context.load_once(
        ("classifier", source), lambda: load_classifier(source, context.policy, name, trust_remote_code=trust)
    )
    if reads == "auto":
        reads = "chat" if getattr(tokenizer, "chat_template", None) else "response"
    key = ("sequence scorer", source, reads, truncate)
    if key in context.models:  # to score a text costs this energy nothing more; what it differentiates is counted
        context.use_model(f"reward:{name}", model, flops_per_token=0.0)
    return context.load_once(key, lambda: SequenceScorer(model, tokenizer, name, reads, context, truncate))
