"""A Hugging Face sequence classifier as a reader of answers: of texts exactly as its user would read them, of relaxed
responses token by token, with a gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, fit_rows
from sea_toolkit.errors import ModelError, RecipeError, did_you_mean
from sea_toolkit.lm.backbone import Backbone, embedding_table
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.positions import cut_answers, usable_positions
from sea_toolkit.models.loading import load_classifier
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.shown_text import Ids, Reading, ShownText

ROWS = 64
"""Most texts in one batch."""

DIFFERENCE = 1e-4
"""Smallest difference between two readings of one text that is reported."""


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

    @torch.no_grad()
    def texts(self, prompts: Sequence[str], answers: Sequence[str]) -> Float[Tensor, "N L"]:
        """Outputs for N answers to N prompts, float32; NaN for what is too long for the model, or has no tokens."""
        rows = [self.shown.ids(p, a) or [] for p, a in zip(prompts, answers, strict=True)]
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


class SequenceScorer:
    """Outputs `[P, C, L]` of a sequence classifier for the responses of a run.

    A relaxed response is read between the tokens before and after it; those before it are run once. A text is read as a
    whole, exactly as the model's user would give it: where that has other tokens, its value is that of the whole, and
    its gradient that of the tokens one by one.

    Args:
        reader: of texts.
        context: of the run.

    Attributes:
        warnings: by how much the two readings of a text differed, if they did.

    Raises:
        RecipeError: prompt and answer are too long for the model.
    """

    def __init__(self, reader: ClassifierReader, context: Context) -> None:
        self.reader, self.prompts, self.shown = reader, list(context.prompts), reader.shown
        self.table = fit_rows(reader.table, context.policy.vocab_size)
        self.warnings: list[str] = []
        frames = self.shown.frames(self.prompts, context.length)
        self.before, self.after = [before for before, _ in frames], frames[0][1]
        self.prefix = reader.backbone.prefix(self.before) if reader.is_decoder and self.before[0] else None
        self._latest: tuple[SoftResponse, Tensor] | None = None
        self._furthest = DIFFERENCE

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        """All outputs, float32; the response's soft end is cut where survival falls below one half.

        The outputs of a text that has more tokens than the model can read are NaN, unless it may be truncated. Outputs
        without a graph are kept for a second energy that asks for another of them.
        """
        if self._latest is not None and self._latest[0] is response:
            return self._latest[1]
        outputs = self._outputs(response)
        self._latest = None if outputs.requires_grad else (response, outputs)
        return outputs

    def _outputs(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        other = self._read_otherwise(response)
        if other.all() and not (torch.is_grad_enabled() and response.embed(self.table).requires_grad):
            return self._whole(response, other)
        outputs = self._piecewise(response)
        if not other.any():
            return outputs
        whole = self._whole(response, other)
        self._note(float((whole - outputs.detach())[other].abs().nan_to_num(0.0).max()))
        # the value of the whole, with the gradient of the pieces
        return torch.where(other[..., None], outputs + (whole - outputs).detach(), outputs)

    def _piecewise(self, response: SoftResponse) -> Float[Tensor, "P C L"]:
        """Read the response's own tokens between the tokens before and after it."""
        around = max(map(len, self.before)) + len(self.after)
        rows, mask = response.embed(self.table), response.content > 0.5
        (embeds,), mask, cut = cut_answers([rows], mask, around, self.shown.limit)
        if self.after:
            tail = self.reader.embedding(torch.tensor(self.after, device=embeds.device, dtype=torch.long))
            embeds = torch.cat([embeds, tail.expand(*embeds.shape[:2], -1, -1)], 2)
            mask = torch.nn.functional.pad(mask, (0, len(self.after)), value=True)
        outputs = self.reader.read(embeds, mask, self.before, self.prefix)
        return outputs if self.shown.truncate else outputs.masked_fill(cut[..., None], torch.nan)

    def _read_otherwise(self, response: SoftResponse) -> Bool[Tensor, "P C"]:
        """Which responses are texts whose tokens as a whole differ from those of the pieces."""
        other = torch.zeros(response.shape[:2], dtype=torch.bool)
        if response.texts is None:
            return other.to(response.ids.device)
        counts = (response.content > 0.5).sum(-1).tolist()
        ids = response.ids.tolist()
        for p, row in enumerate(response.texts):
            for c, text in enumerate(row):
                pieces = [*self.before[p], *ids[p][c][: counts[p][c]], *self.after]
                other[p, c] = self.shown.ids(self.prompts[p], text) != pieces
        return other.to(response.ids.device)

    def _whole(self, response: SoftResponse, wanted: Bool[Tensor, "P C"]) -> Float[Tensor, "P C L"]:
        """Outputs of the wanted texts, each read as a whole; NaN for the others."""
        assert response.texts is not None
        places = wanted.nonzero().tolist()
        outputs = self.reader.texts([self.prompts[p] for p, _ in places], [response.texts[p][c] for p, c in places])
        every = outputs.new_full((*wanted.shape, outputs.shape[-1]), torch.nan)
        every[wanted] = outputs
        return every

    def _note(self, difference: float) -> None:
        if difference > self._furthest:
            self._furthest = difference
            self.warnings[:] = [
                f"{self.shown.name} reads answers as part of the whole text; the gradient is that of their tokens by "
                f"themselves, whose value was up to {difference:.2g} away"
            ]


def sequence_scorer(
    source: Path | str,
    name: str,
    context: Context,
    *,
    reads: Reading = "auto",
    truncate: bool = False,
    template_options: Mapping[str, Any] | None = None,
) -> SequenceScorer:
    """The scorer of a classifier, shared by the energies of a run: its weights are read once, and without a gradient it
    runs once for each response.

    Raises:
        ModelError: unreadable weights, or another vocabulary than the policy's.
        RecipeError: prompt and answer are too long for the model.
    """
    policy, finder = context.policy, context.finder

    def load() -> tuple[Any, Any]:
        return load_classifier(source, policy, name, trust_remote_code=finder.trust_remote_code)

    model, tokenizer = finder.load_once(("classifier", source, policy.device, policy.dtype), load)
    shown = ShownText(
        tokenizer, name, reads, limit=usable_positions(model), truncate=truncate, template_options=template_options
    )
    options = repr(sorted((template_options or {}).items()))
    key = ("sequence scorer", source, shown.reads, truncate, options)
    # made before the model's tokens are counted: the trial reading does not belong to the run's cost
    reader = context.load_once(("classifier reader", *key), lambda: ClassifierReader(model, shown))
    # a second energy shares the scores of texts at no cost; the passes that it differentiates are counted
    context.use_model(f"reward:{name}", model, flops_per_token=0.0 if key in context.models else None)
    return context.load_once(key, lambda: SequenceScorer(reader, context))
