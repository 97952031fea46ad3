"""A Hugging Face sequence classifier: its outputs for texts exactly as its user would read them, and for embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.errors import ModelError, RecipeError, did_you_mean
from sea_toolkit.lm.backbone import Backbone, embedding_table
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.vocabulary import guard_rows
from sea_toolkit.readers.placed_text import Ids
from sea_toolkit.readers.shown_text import ShownText

ROWS = 64
"""Most texts in one batch."""


class ClassifierReader:
    """All outputs of a sequence classifier for texts, as transformers gives them for the rendered whole.

    A decoder is read at its last token, by our own mask: transformers looks for a padding token, which a batch may not
    have (transformers #34218).

    Args:
        model: from `AutoModelForSequenceClassification`.
        shown: from prompt and answer to its tokens.

    Raises:
        ModelError: the model gives other numbers for embeddings than for the same tokens.

    Attributes:
        pads: rows of several lengths may share a batch; false for models whose padding changes their numbers (FNet,
            ConvBERT), which read one row at a time.
    """

    def __init__(self, model: Any, shown: ShownText) -> None:
        self.model, self.shown = model, shown
        self.embedding = model.get_input_embeddings()
        guard_rows(self.embedding, shown.tokenizer, shown.name)
        self.is_decoder = hasattr(model, "score")
        if self.is_decoder:
            self.backbone = Backbone(getattr(model, model.base_model_prefix), self.embedding, shown.name)
            self.table = self.backbone.table
        else:
            self.table = embedding_table(self.embedding, shown.name)
        self.pads = True
        self.pads = self._pads()

    @torch.no_grad()
    def _pads(self) -> bool:
        """Compare the reading of two short texts with the model's own forward pass: may rows be padded to one width?

        Raises:
            ModelError: the two differ for each text alone, or the model cannot be read through its embeddings.
        """
        half = len(self.table) // 2  # away from the special tokens, whose embedding some models treat otherwise
        ids = torch.arange(half, half + 6, device=self.table.device)[None]
        texts = [ids, ids[:, 3:]]
        mask = torch.ones(1, 2, 6, dtype=torch.bool, device=ids.device)
        mask[:, 1, 3:] = False
        padded = torch.cat([ids, ids[:, 3:].repeat(1, 2)])
        kind = f"{self.shown.name} ({type(self.model).__name__})"
        expected, hint = "a sequence classifier that takes input embeddings", "another reward model, or a probe"
        try:
            own = torch.cat([self.model(input_ids=t, attention_mask=torch.ones_like(t)).logits.float() for t in texts])
            alone = torch.cat(
                [self.read(self.embedding(t)[:, None], torch.ones_like(t)[:, None] > 0)[0] for t in texts]
            )
        except Exception as error:  # each architecture has its own way to refuse
            reason = str(error).strip().partition("\n")[0]
            got = f"{kind} cannot be read through its embeddings: {type(error).__name__}: {reason}"
            raise ModelError(got, expected=expected, hint=hint) from error
        if not self._equal(own, alone):
            got = f"{kind} gives {alone[0].tolist()[:3]} for embeddings, {own[0].tolist()[:3]} for the same tokens"
            raise ModelError(got, expected=expected, hint=hint)
        try:
            return self._equal(own, self.read(self.embedding(padded)[None], mask)[0])
        except Exception:  # no padding token, no attention mask: one row at a time
            return False

    def _equal(self, own: Tensor, read: Tensor) -> bool:
        close = 1e-3 if self.table.dtype == torch.float32 else 0.1
        return own.shape == read.shape and bool(((own - read).abs() <= close * (1.0 + own.abs())).all())

    def output(self, wanted: str | int | None) -> int:
        """Index of the output that a recipe names.

        Raises:
            RecipeError: no such output, or several and none named.
        """
        labels = {str(name): int(i) for i, name in self.model.config.id2label.items()}
        if wanted is None:
            if len(labels) > 1:
                raise RecipeError(
                    f"{self.shown.name} has {len(labels)} outputs", expected=f"output = one of {list(labels)}"
                )
            return 0
        if isinstance(wanted, int) and 0 <= wanted < len(labels):
            return wanted
        if str(wanted) not in labels:
            raise RecipeError(f"{self.shown.name} has no output {wanted!r}", hint=did_you_mean(str(wanted), labels))
        return labels[str(wanted)]

    def texts(self, prompts: Sequence[str], answers: Sequence[str]) -> Float[Tensor, "N L"]:
        """Outputs for N answers to N prompts, float32; NaN for what is too long for the model, or has no tokens."""
        return self.ids([self.shown.ids(p, a) for p, a in zip(prompts, answers, strict=True)])

    @torch.no_grad()
    def ids(self, wholes: Sequence[Ids | None]) -> Float[Tensor, "N L"]:
        """The same for what `ShownText.ids` makes of them."""
        rows = [whole or [] for whole in wholes]
        outputs = torch.full((len(rows), self.model.config.num_labels), torch.nan, device=self.table.device)
        # rows of one length share a batch without padding, which is how each would be read alone
        by_length = sorted((i for i, row in enumerate(rows) if row), key=lambda i: len(rows[i]))
        while by_length:
            width = len(rows[by_length[0]])
            batch = [i for i in by_length[:ROWS] if len(rows[i]) == width]
            by_length = by_length[len(batch) :]
            ids = torch.tensor([rows[i] for i in batch], device=self.table.device)
            outputs[batch] = self.read(self.embedding(ids)[:, None], torch.ones_like(ids)[:, None] > 0)[:, 0]
        return outputs

    def read(
        self,
        embeds: Float[Tensor, "P C T D"],
        mask: Bool[Tensor, "P C T"],
        before: Sequence[Ids] = (),
        prefix: Prefix | None = None,
    ) -> Float[Tensor, "P C L"]:
        """Outputs for rows of embeddings after their context, float32; differentiable.

        Args:
            embeds: of the tokens.
            mask: false where there is no token; such positions leave no gap.
            before: per prompt, the ids of the context (an encoder reads them again with each row).
            prefix: the cache of the context, for a decoder.
        """
        return self._decoder(embeds, mask, prefix) if self.is_decoder else self._encoder(embeds, mask, before)

    def _decoder(self, embeds: Tensor, mask: Tensor, prefix: Prefix | None) -> Tensor:
        if prefix is None and not bool(mask.any(-1).all()):
            # an empty text has no token to read: its first position is used instead
            mask = torch.cat([mask[..., :1] | ~mask.any(-1, keepdim=True), mask[..., 1:]], -1)
        hidden = self.backbone.hidden(prefix, embeds, mask)
        last = (torch.arange(1, mask.shape[-1] + 1, device=mask.device) * mask).amax(-1)
        index = (last - 1).clamp(min=0)[..., None, None].expand(-1, -1, 1, hidden.shape[-1])
        read = hidden.gather(2, index).squeeze(2)
        if prefix is not None:
            read = torch.where((last > 0)[..., None], read, prefix.last_hidden[:, None])
        return self.model.score(read).float()

    def _encoder(self, embeds: Tensor, mask: Tensor, before: Sequence[Ids]) -> Tensor:
        p, c = mask.shape[:2]
        before = before or [[]] * p
        width, rows, masks = max(map(len, before)), [], []
        for i, ids in enumerate(before):
            head = self.embedding(torch.tensor(ids, device=embeds.device, dtype=torch.long)).expand(c, -1, -1)
            # padding goes to the right end, where an encoder's own position ids do not see it
            pad = embeds.new_zeros(c, width - len(ids), embeds.shape[-1])
            rows.append(torch.cat([head, embeds[i], pad], 1))
            masks.append(torch.cat([torch.ones_like(head[..., 0]) > 0, mask[i], pad[..., 0] > 0], 1))
        all_rows, all_masks = torch.cat(rows), torch.cat(masks)
        # masked positions leave no gap: positions are counted along the row
        order = (~all_masks).long().argsort(dim=-1, stable=True)
        all_rows = all_rows.gather(1, order[..., None].expand_as(all_rows))
        all_masks = all_masks.gather(1, order).long()
        if self.pads:
            logits = self.model(inputs_embeds=all_rows, attention_mask=all_masks).logits
        else:
            lengths = all_masks.sum(-1).clamp(min=1).tolist()
            alone = [(all_rows[i : i + 1, :n], all_masks[i : i + 1, :n]) for i, n in enumerate(lengths)]
            logits = torch.cat([self.model(inputs_embeds=row, attention_mask=mask).logits for row, mask in alone])
        return logits.float().unflatten(0, (p, c))
