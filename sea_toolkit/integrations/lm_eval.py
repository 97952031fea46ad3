"""The model `sea` of lm-evaluation-harness: aligned answers where a task generates, the policy's log π where it asks
for likelihoods.

Versions of lm-eval that read the entry points `lm_eval.models` know it by name; for the others,
`python -m sea_toolkit.integrations.lm_eval` is `lm_eval` with this model registered.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval import utils
from lm_eval.api.model import TemplateLM

from sea_toolkit.errors import RecipeError
from sea_toolkit.integrations.aligned import Aligned, Answer
from sea_toolkit.integrations.likelihood import fitted, log_likelihoods
from sea_toolkit.util.run_files import to_line

_LOG = logging.getLogger(__name__)
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_NEUTRAL: dict[str, Any] = {"temperature": (0, 0.0, 1, 1.0, None), "do_sample": (False, None)}
"""What a task may say of sampling without wanting anything: the recipe says how answers are drawn."""


class SeaLM(TemplateLM):
    """A policy whose answers are aligned by a recipe.

    Args:
        batch_size: prompts that are aligned, or read, side by side.
        records: a file that gets a JSON line for each answer: what it cost, energies and rewards before and after.
        max_batch_size: of other models; not used, since the batch is part of what an answer depends on.
        arguments: see `ARGUMENTS`.

    Raises:
        RecipeError: an unknown argument, `batch_size=auto`, or the recipe is wrong.
    """

    def __init__(
        self,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
        records: str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__()
        if not str(batch_size).isdigit() or int(batch_size) < 1:
            raise RecipeError(f"batch_size = {batch_size!r}", expected="a whole number above 0")
        if arguments.get("device") == "cuda:0" and not torch.cuda.is_available():
            arguments["device"] = "auto"  # the harness's own default, which it gives everywhere
        self._arguments, self._batch = arguments, int(batch_size)
        self._records = None if records is None else Path(records)
        self._is_chat = False
        self._made: Aligned | None = None
        self._spent = {"answers": 0, "samples": 0.0, "flops": 0.0}
        Aligned(arguments, self._batch)  # refuses what is wrong before the tasks are read

    @property
    def aligned(self) -> Aligned:
        """The aligner. Its prompts are conversations if the harness applies chat templates, else plain text."""
        if self._made is None:
            arguments = dict(self._arguments)
            if Aligned(arguments).aligner.recipe.policy.template == "auto":
                arguments["template"] = "chat" if self._is_chat else "plain"
            self._made = Aligned(arguments, self._batch)
        return self._made

    @property
    def tokenizer(self) -> Any:
        return self.aligned.policy.tokenizer

    @property
    def tokenizer_name(self) -> str:
        return self.aligned.aligner.recipe.policy.name.replace("/", "__")

    @property
    def eot_token_id(self) -> int:
        return self.aligned.policy.eos_ids[0]

    @property
    def prefix_token_id(self) -> int:
        begin = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else int(begin)

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        begin = self.tokenizer.bos_token
        if add_special_tokens is None and begin is not None and string.startswith(begin):
            add_special_tokens = False
        options = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        return list(self.tokenizer.encode(string, **options))

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        """The template's text for the harness's logs.

        Raises:
            RecipeError: a template by name; the recipe names it.
        """
        if isinstance(chat_template, str):
            raise RecipeError(
                f"--apply_chat_template {chat_template}", expected="the flag alone", hint="policy.chat_template"
            )
        self._is_chat = self._is_chat or chat_template
        chat = self.aligned.policy.chat
        return None if chat is None or not chat_template else chat.written

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """The conversation as JSON: rewards read the user's words, not the template's.

        Raises:
            RecipeError: the answer is to begin with given words.
        """
        if not add_generation_prompt:
            raise RecipeError(
                "the task begins the answer with words of its own",
                expected="a conversation that ends with the user's turn",
                hint='the initializer "prefilled" with locked = true',
            )
        self._is_chat = True
        return json.dumps(chat_history)

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """Aligned answers, all requests of one length in one call."""
        by_length: dict[int | None, list[int]] = {}
        for i, request in enumerate(requests):
            by_length.setdefault(_most_tokens(request.args[1]), []).append(i)
        _warn({name for request in requests for name in _unused(request.args[1])})
        found: dict[int, Answer] = {}
        for most, places in by_length.items():
            prompts = [self._prompt(requests[i].args[0]) for i in places]
            stops = [_stops(requests[i].args[1]) for i in places]
            found |= zip(places, self.aligned.answers(prompts, stops, most), strict=True)
        answers = [found[i] for i in range(len(requests))]
        self._keep(answers)
        for request, answer in zip(requests, answers, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, answer.text)
        return [answer.text for answer in answers]

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """log π of the policy itself: a run changes which answers are chosen, and no likelihood."""
        if self._is_chat:
            requests = [_Asked((self._rendered(context), text)) for context, text in (r.args for r in requests)]
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=disable_tqdm)
        return found

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """log π of whole texts, window by window."""
        length = self.aligned.policy.context_length or 2048
        found = []
        for request in requests:
            windows = utils.get_rolling_token_windows(
                self.tok_encode(request.args[0]), prefix_token=self.prefix_token_id, max_seq_len=length, context_len=1
            )
            rows = [(None, *utils.make_disjoint_window(window)) for window in windows]
            found.append(sum(value for value, _ in self._loglikelihood_tokens(rows)))
        return found

    def _loglikelihood_tokens(self, requests: Sequence[Any], **kwargs: Any) -> list[tuple[float, bool]]:
        policy, found = self.aligned.policy, dict[int, tuple[float, bool]]()
        order = sorted(range(len(requests)), key=lambda i: -len(requests[i][1]) - len(requests[i][2]))
        for first in range(0, len(order), self._batch):
            some = order[first : first + self._batch]
            pairs = [fitted(policy, requests[i][1:]) for i in some]
            found |= zip(some, log_likelihoods(policy, pairs), strict=True)
        for i, request in enumerate(requests):
            if request[0] is not None:
                self.cache_hook.add_partial("loglikelihood", request[0], found[i])
        return [found[i] for i in range(len(requests))]

    def get_model_info(self) -> dict[str, Any]:
        """For the results of the harness: what was spent, and by which recipe."""
        recipe, reward = self.aligned.aligner.recipe, self.aligned.reward
        number = self._spent["answers"]
        means = {f"{what}_per_answer": self._spent[what] / number for what in ("samples", "flops") if number}
        facts = {
            "recipe": recipe.model_dump(mode="json", exclude_none=True),
            "reward": reward,
            "loglikelihood": "of the policy, which alignment leaves as it is",
        }
        return {"sea": {**facts, **self._spent, **means}}

    def _prompt(self, context: str) -> Any:
        return json.loads(context) if self._is_chat else context

    def _rendered(self, context: str) -> str:
        chat = self.aligned.policy.chat
        messages = self._prompt(context)
        if chat is None:
            raise RecipeError("the harness applies a chat template, and the policy has none")
        return chat.render(messages, add_generation_prompt=True)

    def _keep(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self._spent["answers"] += 1
            for what in ("samples", "flops"):
                self._spent[what] += answer.facts[what]
        if self._records is not None:
            with self._records.open("ab") as file:
                for answer in answers:
                    prompt = answer.result.prompt.to_data()
                    file.write(to_line({"prompt": prompt, "response": answer.text, **answer.facts}))


class _Asked:
    """A request with other arguments."""

    def __init__(self, args: tuple[str, str]) -> None:
        self.args = args


def _stops(options: dict[str, Any]) -> list[str]:
    until = options.get("until") or []
    return [until] if isinstance(until, str) else list(until)


def _most_tokens(options: dict[str, Any]) -> int | None:
    given = [int(options[name]) for name in _LENGTHS if options.get(name) is not None]
    return given[0] if given else None


def _unused(options: dict[str, Any]) -> list[str]:
    known = ("until", *_LENGTHS)
    return [name for name, value in options.items() if name not in known and value not in _NEUTRAL.get(name, ())]


def _warn(names: set[str]) -> None:
    if names:
        _LOG.warning("sea: the recipe says how answers are drawn; not used of the task: %s", ", ".join(sorted(names)))


def main() -> None:
    """`lm_eval` with the model `sea`."""
    from lm_eval.__main__ import cli_evaluate
    from lm_eval.api.registry import register_model

    register_model("sea")(SeaLM)
    cli_evaluate()


if __name__ == "__main__":
    main()
