"""A Hugging Face sequence classifier: its outputs for texts exactly as its user would read them, and for embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import accepted
from sea_toolkit.lm.backbone import Backbone, embedding_table
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.micro_batches import in_micro_batches, rows_at_once
from sea_toolkit.lm.vocabulary import guard_rows
from sea_toolkit.models.heads import HeadedModel
from sea_toolkit.readers.beside import NOTHING, Beside
from sea_toolkit.readers.encoder_rows import EncoderRows
from sea_toolkit.readers.gates import Gates
from sea_toolkit.readers.placed_text import Ids, Row
from sea_toolkit.readers.shown_to import Shown, is_decoder

BATCH = 64
"""Texts in one batch, at most, where nothing else is asked for."""


class ClassifierReader:
    """All outputs of a sequence classifier for texts, as transformers gives them for the rendered whole.

    A decoder is read at its last token, by our own mask: transformers looks for a padding token, which a batch may not
    have (transformers #34218). A model that cannot be read through its embeddings (T5, BART) reads token ids alone.

    Args:
        model: from `AutoModelForSequenceClassification`, or a `HeadedModel`.
        shown: from prompt and answer to its tokens.
        batch: rows that it reads at once, at most; None: 64 texts, and all rows of embeddings.

    Raises:
        ModelError: the model cannot be run on token ids.
        RecipeError: a gated head, and texts without the place that its gates read.

    Attributes:
        ids_only: why the model cannot be read through its embeddings; None for one that can.
        pads: rows of several lengths may share a batch; false for models whose padding changes their numbers (FNet,
            ConvBERT), which read one row at a time.
    """

    def __init__(self, model: Any, shown: Shown, batch: int | None = None) -> None:
        self.model, self.shown, self.name, self.batch = model, shown, shown.name, batch
        self.embedding = model.get_input_embeddings()
        guard_rows(self.embedding, shown.tokenizer, shown.name)
        self.is_decoder = is_decoder(model)
        self.gates = Gates(model, shown) if isinstance(model, HeadedModel) and model.gate_at is not None else None
        self.kind = f"{shown.name} ({type(model).__name__})"
        self.device = next(model.parameters()).device
        self._takes_types, self._takes_global = (
            bool(accepted(model, **{key: None})) for key in ("token_type_ids", "global_attention_mask")
        )
        self.pads = True
        self.ids_only: str | None = None
        try:
            if self.is_decoder:
                self.backbone = Backbone(getattr(model, model.base_model_prefix), self.embedding, shown.name)
                self.table = self.backbone.table
            else:
                self.table = embedding_table(self.embedding, shown.name)
        except ModelError as error:
            self.ids_only = str(error.got)
        self._compare()

    @property
    def may_want_a_pair(self) -> bool:
        """An encoder with one output that is shown the answer alone: its folder does not tell if it reads pairs."""
        return not self.is_decoder and self.shown.reads == "response" and self.model.config.num_labels == 1

    @torch.no_grad()
    def _compare(self) -> None:
        """Compare the reading of two short texts with the model's own forward pass, alone and side by side.

        Raises:
            ModelError: the model cannot be run on token ids.
        """
        half = len(self.shown.tokenizer) // 2  # away from the special tokens, which some models treat otherwise
        before = [] if self.gates is None else self.gates.mark
        after = [self.model.config.eos_token_id] if self.model.config.is_encoder_decoder else []
        rows = [Row([*before, *range(half, half + n), *after]) for n in (6, 3)]
        try:
            own = torch.cat([self._own([row]) for row in rows])
        except Exception as error:  # each architecture has its own way to refuse
            reason = str(error).strip().partition("\n")[0]
            got = f"{self.kind} cannot be read: {type(error).__name__}: {reason}"
            expected = "a sequence classifier that needs nothing but text"
            raise ModelError(got, expected=expected, hint="another reward model, or a probe") from error
        if self.ids_only is None:
            self.ids_only = self._difference(rows, own)
        if self.ids_only is None:
            self.pads = self._difference(rows, own, padded=True) is None

    def _difference(self, rows: Sequence[Row], own: Tensor, *, padded: bool = False) -> str | None:
        """How reading rows through their embeddings differs from the model's own outputs; None if it does not."""
        try:
            if padded:
                read = self._through_embeddings(rows)
            else:
                read = torch.cat([self._through_embeddings([row]) for row in rows])
        except Exception as error:  # no embeddings; no padding token, no attention mask
            return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        close = 1e-3 if self.table.dtype == torch.float32 else 0.1
        if own.shape == read.shape and bool(((own - read).abs() <= close * (1.0 + own.abs())).all()):
            return None
        return f"it gives {read[0].tolist()[:3]} for embeddings, {own[0].tolist()[:3]} for the same tokens"

    def _through_embeddings(self, rows: Sequence[Row]) -> Float[Tensor, "N L"]:
        width = max(len(row.ids) for row in rows)
        ids = torch.tensor([row.ids + row.ids[:1] * (width - len(row.ids)) for row in rows], device=self.device)
        mask = torch.tensor([[i < len(row.ids) for i in range(width)] for row in rows], device=self.device)
        return self.read(self.embedding(ids)[None], mask[None], beside=self.beside(rows))[0]

    def _own(self, rows: Sequence[Row]) -> Float[Tensor, "N L"]:
        """The model's own forward pass on rows of one length."""
        ids = torch.tensor([row.ids for row in rows], device=self.device)
        extra: dict[str, Tensor] = {}
        if rows[0].types:
            extra = accepted(self.model, token_type_ids=torch.tensor([row.types for row in rows], device=self.device))
        if self.gates is not None:
            positions = [self.gates.position(row.ids) for row in rows]
            extra["gate_positions"] = torch.tensor(positions, device=self.device)
        return self.model(input_ids=ids, attention_mask=torch.ones_like(ids), **extra).logits.float()

    def texts(self, prompts: Sequence[str], answers: Sequence[str]) -> Float[Tensor, "N L"]:
        """Outputs for N answers to N prompts, float32; NaN for what is too long for the model, or has no tokens."""
        return self.rows([self.shown.row(p, a) for p, a in zip(prompts, answers, strict=True)])

    @torch.no_grad()
    def rows(self, wholes: Sequence[Row | None], *, batch: int = BATCH) -> Float[Tensor, "N L"]:
        """The same for what `PlacedText.row` makes of them.

        Args:
            wholes: N rows; NaN for those that are None or empty.
            batch: rows that are read at once, at most, where the reader has no number of its own.
        """
        rows = [whole or Row([]) for whole in wholes]
        outputs = torch.full((len(rows), self.model.config.num_labels), torch.nan, device=self.device)
        most = 1 if self.model.config.is_encoder_decoder else self.batch or batch  # as many ends of text in each
        # rows of one length share a batch without padding, which is how each would be read alone
        by_length = sorted((i for i, row in enumerate(rows) if row.ids), key=lambda i: len(rows[i].ids))
        while by_length:
            width = len(rows[by_length[0]].ids)
            at = [i for i in by_length[: rows_at_once(most)] if len(rows[i].ids) == width]
            by_length = by_length[len(at) :]
            chosen = [rows[i] for i in at]
            outputs[at] = self._through_embeddings(chosen) if self.ids_only is None else self._own(chosen)
        return outputs

    def of_row(self, row: Row) -> Float[Tensor, "1 L"]:
        """Outputs for one text that has tokens; differentiable."""
        return self._through_embeddings([row]) if self.ids_only is None else self._own([row])

    def beside(self, rows: Sequence[Row | None]) -> Beside:
        """What N rows are read with beside their embeddings, as one prompt's.

        Args:
            rows: texts; None is one that is not read.
        """
        types = gates = None
        if self._takes_types and any(row is not None and row.types for row in rows):
            width = max(len(row.types) for row in rows if row is not None)
            padded = [[] if row is None else row.types for row in rows]
            types = torch.tensor([[row + [0] * (width - len(row)) for row in padded]], device=self.device)
        if self.gates is not None:
            even = torch.zeros(self.model.config.num_labels - 1, device=self.device)  # for a row that is not read
            gates = torch.stack([self.gates.of(row.ids) if row and row.ids else even for row in rows])[None]
        return Beside(types, gates)

    def read(
        self,
        embeds: Float[Tensor, "P C T D"],
        mask: Bool[Tensor, "P C T"],
        before: Sequence[Ids] = (),
        prefix: Prefix | None = None,
        beside: Beside = NOTHING,
    ) -> Float[Tensor, "P C L"]:
        """Outputs for rows of embeddings after their context, float32; differentiable.

        Args:
            embeds: of the tokens.
            mask: false where there is no token; such positions leave no gap.
            before: per prompt, the ids of the context (an encoder reads them again with each row).
            prefix: the cache of the context, for a decoder.
            beside: what is read beside the embeddings.
        """
        each = embeds.shape[1] if self.batch is None else max(1, self.batch // len(embeds))
        parts = [slice(start, start + each) for start in range(0, embeds.shape[1], each)]
        if self.is_decoder:
            gates = beside.gates
            chosen = [None if gates is None else gates[:, part] for part in parts]
            pairs = zip(parts, chosen, strict=True)
            return torch.cat([self._decoder(embeds[:, at], mask[:, at], prefix, g) for at, g in pairs], 1)
        types = torch.zeros_like(mask, dtype=torch.long) if beside.types is None else beside.types
        return torch.cat([self._encoder(embeds[:, at], mask[:, at], before, types[:, at]) for at in parts], 1)

    def _decoder(self, embeds: Tensor, mask: Tensor, prefix: Prefix | None, gates: Tensor | None) -> Tensor:
        if prefix is None and not bool(mask.any(-1).all()):
            # an empty text has no token to read: its first position is used instead
            mask = torch.cat([mask[..., :1] | ~mask.any(-1, keepdim=True), mask[..., 1:]], -1)
        hidden = self.backbone.hidden(prefix, embeds, mask)
        last = (torch.arange(1, mask.shape[-1] + 1, device=mask.device) * mask).amax(-1)
        index = (last - 1).clamp(min=0)[..., None, None].expand(-1, -1, 1, hidden.shape[-1])
        read = hidden.gather(2, index).squeeze(2)
        if prefix is not None:
            read = torch.where((last > 0)[..., None], read, prefix.last_hidden[:, None])
        outputs: Tensor = self.model.score(read) if gates is None else self.model.score(read, gates)
        return outputs.float()

    def _encoder(self, embeds: Tensor, mask: Tensor, before: Sequence[Ids], types: Tensor) -> Tensor:
        whole = EncoderRows.joined(embeds, mask, types, before, self.embedding)
        if self.pads:

            def read(part: slice, rows: Tensor) -> Tensor:
                return self._logits(EncoderRows(rows, whole.mask[part], whole.types[part]))

            logits = in_micro_batches(self.model, whole.embeds, read)
        else:
            logits = torch.cat([self._logits(row) for row in whole.each()])
        return logits.float().unflatten(0, mask.shape[:2])

    def _logits(self, rows: EncoderRows) -> Tensor:
        extra: dict[str, Tensor] = {}
        if self._takes_types and bool(rows.types.any()):
            extra["token_type_ids"] = rows.types
        if self._takes_global:  # as Longformer does by itself where it is given ids
            extra["global_attention_mask"] = torch.zeros_like(rows.mask).index_fill(1, rows.mask.new_zeros(1), 1)
        logits: Tensor = self.model(inputs_embeds=rows.embeds, attention_mask=rows.mask, **extra).logits
        return logits
