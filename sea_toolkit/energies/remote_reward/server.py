"""Scores of texts by a server, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.energies.remote_reward.apis import Api, Shown, WrongAnswer
from sea_toolkit.energies.remote_reward.client import Client
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.function_inputs import label_of
from sea_toolkit.readers.shown_text import ShownText, before_answer
from sea_toolkit.util.conversation import Message, Prompt
from sea_toolkit.util.wording import counted

Reads = Literal["auto", "response", "prompt+response", "chat"]
"""As `Reading`, without the pairs of segments that no server takes."""


class RewardServer:
    """Scores texts by a server.

    Args:
        client: asks it.
        api: its kind.
        model: the model's name there, or None.
        shown: from prompt and answer to tokens, where the model's tokenizer is at hand.
        reads: what the recipe says.
        output: index of the output that is the reward.
        batch: texts in one request.

    Attributes:
        warnings: what a person should know of the scores.

    Raises:
        RecipeError: a way of reading that the kind of server does not have.
    """

    def __init__(
        self,
        client: Client,
        api: Api,
        model: str | None,
        shown: ShownText | None,
        reads: Reads,
        output: int | None,
        batch: int,
    ) -> None:
        self.client, self.api, self.model, self.shown, self.output = client, api, model, shown, output
        self.warnings: list[str] = []
        if api.reads_pairs and reads != "auto":
            raise RecipeError(f"{api.name} reads prompt and answer apart", hint="leave reads out")
        if reads == "auto" and not api.reads_pairs and shown is None:
            reads = "chat" if api.reads_turns else "prompt+response"
            if not api.reads_turns:
                self.warnings.append(
                    f"{client.url} is sent plain text; tokenizer = … puts prompt and answer into its chat template"
                )
        if reads == "chat" and shown is None and not api.reads_turns:
            raise RecipeError(f"{api.name} has no chat template", expected="tokenizer = the model's, with a template")
        self.reads, self.batch = reads, 1 if reads == "chat" and shown is None else batch

    def scores(self, prompts: Sequence[str], answers: Sequence[str]) -> Float[Tensor, " N"]:
        """The reward of N answers to N prompts, float32; NaN where there is nothing to read.

        Raises:
            ModelError: see `Client.ask`; or an answer without a number for each text.
            RecipeError: the model has several outputs, and none is named.
        """
        items = [self._item(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
        scores = torch.full((len(items),), torch.nan)
        full = [i for i, item in enumerate(items) if not item.is_empty]
        groups = [full[i : i + self.batch] for i in range(0, len(full), self.batch)]
        replies = self.client.ask([self.api.request([items[i] for i in group], self.model) for group in groups])
        for group, reply in zip(groups, replies, strict=True):
            try:
                rows = self.api.rows(reply)
            except WrongAnswer as wrong:
                raise self.client.error(f"answered {self.api.path} with JSON that {wrong}") from None
            if len(rows) != len(group):
                raise self.client.error(
                    f"answered {self.api.path} with {counted(len(rows), 'score')} for {counted(len(group), 'text')}"
                )
            scores[group] = torch.tensor([self._chosen(row) for row in rows])
        return scores

    def _chosen(self, row: Sequence[float]) -> float:
        if self.output is None and len(row) > 1:
            raise RecipeError(
                f"{self.client.url} gives {len(row)} outputs", expected=f"output = a number from 0 to {len(row) - 1}"
            )
        if (self.output or 0) >= len(row):
            raise RecipeError(
                f"{self.client.url} has no output {self.output}", expected=f"a number from 0 to {len(row) - 1}"
            )
        return row[self.output or 0]

    def _item(self, prompt: str, answer: str) -> Shown:
        asked, label = Prompt.of(prompt), label_of(prompt)
        if self.api.reads_pairs:
            return Shown(str(prompt), answer)
        if self.shown is not None:
            text, ids = self.shown.text(asked, answer), self.shown.ids(asked, answer) or []
            return Shown(str(prompt), answer, text, ids, label=label)
        if self.reads == "chat":
            return Shown(str(prompt), answer, turns=[*asked.messages, Message("assistant", answer)])
        return Shown(str(prompt), answer, before_answer(self.reads, prompt, answer) + answer, label=label)
