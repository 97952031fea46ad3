"""The energy `process-reward`: minus what a model says of the steps of an answer, combined to one number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.process_reward.combine import combined
from sea_toolkit.energies.process_reward.forms import FORMS, Combine, Cut, Family, StepForm, family_of
from sea_toolkit.energies.process_reward.judges import HeadJudge, PairJudge, StepJudge
from sea_toolkit.energies.process_reward.step_text import PlacedSteps, StepText
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.loading import architectures
from sea_toolkit.models.policy_source import find_language_model
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.conversation_text import Template, chat_for, turns_of
from sea_toolkit.readers.language_model import language_model_outlook
from sea_toolkit.readers.placed_reader import PlacedReader, Rows


class ProcessReward(Energy):
    """Minus the reward of the steps of an answer, each a probability that it is right.

    An answer is cut into steps, a separator is put behind each, and a head, or a pair of next tokens such as + and −,
    is read at the separator's last token. The value is that of the text; the gradient goes to the tokens of the steps.
    An answer that is blank is one empty step.

    Args:
        model: a local folder or a Hugging Face id of a reward model, or of a causal LM for a pair of tokens; the policy
            itself if left out.
        family: whose procedure it is; "auto" knows Qwen2.5-Math-PRM, Skywork-o1-Open-PRM and token classifiers (TRL) by
            their config. Each option below replaces what the family has.
        steps: a regular expression for what stands between two steps; in no family, a blank line.
        separator: what is put behind each step.
        between: what stands behind the separator, before the next step.
        template: what the model reads, with `{prompt}` and then `{response}` (the steps): a text, or turns such as
            `[{ user = "{prompt}" }, { assistant = "{response}" }]`.
        good: the next token that speaks for a step, such as "+"; left out, the model has a head.
        bad: the one against it.
        output: which of a head's outputs says that a step is right, by label or index.
        combine: of the steps: the "last" one, the worst ("min"), their "mean", or their "product".
        value: of a step's number: its "probability", or its "log-odds", whose gradient does not fade near 0 and 1.
        cut: what is tokenized: the "whole" text, or prompt, "steps" and separators each by itself.
        plain: the template is one text, and all that the model reads: no chat template is put around it.
        template_options: variables of the chat template.
        truncate: where the text has more tokens than the model can read, leave out the beginning of the prompt.
    """

    differentiable = True

    def __init__(
        self,
        *,
        model: str | None = None,
        family: Literal["auto"] | Family = "auto",
        steps: str | None = None,
        separator: str | None = None,
        between: str | None = None,
        template: Template | None = None,
        good: str | None = None,
        bad: str | None = None,
        output: str | int | None = None,
        combine: Combine = "min",
        value: Literal["probability", "log-odds"] = "probability",
        cut: Cut | None = None,
        plain: bool | None = None,
        template_options: dict[str, Any] | None = None,
        truncate: bool = False,
    ) -> None:
        if (good is None) != (bad is None) or "" in (good, bad):
            raise RecipeError(
                f"process-reward has good = {good!r} and bad = {bad!r}", expected="two tokens, or neither of them"
            )
        if combine == "product" and value == "log-odds":
            raise RecipeError("process-reward is a product of log-odds", expected="one of probabilities, or their mean")
        self.model, self.family, self.combine, self.value, self.truncate = model, family, combine, value, truncate
        self.reward_model = model
        self.label: str | None = None if model is None else model.rstrip("/").rpartition("/")[2]
        self.changes: dict[str, Any] = {
            "steps": steps,
            "separator": separator,
            "between": between,
            "turns": None if template is None else turns_of(template, "process-reward"),
            "good": good,
            "bad": bad,
            "output": output,
            "cut": cut,
            "plain": plain,
            "options": template_options,
        }

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the model before any weights are read.

        Raises:
            ModelError: there is no such model.
            RecipeError: its family is not known.
        """
        form = self.form(finder)
        if self.model is not None and form.good is not None:
            find_language_model(self.model, finder)

    def outlook(self, foresight: Foresight) -> Outlook:
        """A language model, or one with a head."""
        if self.form(foresight.finder).good is not None:
            road, model = language_model_outlook(self.model, foresight, "process-reward")
            return Outlook(road, [model])
        assert self.model is not None
        source, name = foresight.finder.find(self.model, "reward"), str(self.label)
        tokenizer = read_tokenizer(source, name, trust_remote_code=foresight.finder.trust_remote_code)
        model = foresight.model("tokens", source, name, f"process-reward:{name}")
        return Outlook(foresight.road(tokenizer), [model])

    def bind(self, context: Context) -> BoundEnergy:
        """Load the model, and run the prompts once.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: a separator that the model's tokenizer does not write by itself, tokens that are none, no such
                output, or a text that is too long for the model.
        """
        form = self.form(context.finder)
        judge: StepJudge
        if form.good is not None:
            judge = PairJudge(self.model, form, context)
        else:
            assert self.model is not None
            judge = HeadJudge(self.model, form, context)
        verdicts = StepVerdicts(self, form, judge, context)
        return BoundEnergy(
            energy=verdicts.energy, score_text=verdicts.score_text, is_reward=True, warnings=judge.warnings
        )

    def form(self, finder: ModelFinder) -> StepForm:
        """How the model is shown the steps."""
        own = {key: value for key, value in self.changes.items() if value is not None}
        family = None if self.family == "auto" else self.family
        if self.model is not None and "good" not in own and family is None:
            source = finder.find(self.model, "reward")
            family = family_of(architectures(source, self.model, finder.trust_remote_code))
        if family is None and "separator" not in own:
            raise RecipeError(
                f"nothing tells how {self.model or 'the policy'} is shown the steps of an answer",
                expected=f"family = one of {sorted(FORMS)}, or separator, template and what is read",
            )
        form = replace(StepForm() if family is None else FORMS[family], **own)
        if self.model is None and form.good is None:
            raise RecipeError(
                "process-reward has no model, and the policy has no head", expected="model, or good and bad"
            )
        return form


class StepVerdicts:
    """The combined verdicts on the answers of a run.

    Args:
        settings: how they are combined.
        form: how the steps are shown.
        judge: gives each its number.
        context: of the run.
    """

    def __init__(self, settings: ProcessReward, form: StepForm, judge: StepJudge, context: Context) -> None:
        self.settings, self.judge = settings, judge
        chat = chat_for(
            form.turns, judge.tokenizer, judge.name, plain=form.plain, options=form.options, date=judge.date
        )
        shown = StepText(form, judge.tokenizer, judge.name, chat, limit=judge.limit, truncate=settings.truncate)
        # an estimate, by as many tokens as the policy's: a text that turns out too long is NaN
        shown.frames(context.prompts, context.length)
        context.use_model(f"process-reward:{judge.name}", judge.model)
        self.reader = PlacedReader(judge.backbone, shown, judge.alignment, context.prompts)

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Of responses; where their steps end is told by their text."""
        return self._energy(self.reader.aligned(response)).unflatten(0, response.shape[:2])

    @torch.no_grad()
    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """The energy of texts as answers to the run's prompts; NaN for one that is too long, or whose steps are cut
        together with their separators."""
        return self._energy(self.reader.texts(prompts, texts))

    def _energy(self, rows: Rows) -> Float[Tensor, " N"]:
        states, device = self.reader.states(rows)[:, 0], rows.mask.device
        assert rows.placed is not None
        ends = [
            [end - start for end in answer.ends] if isinstance(answer, PlacedSteps) else []
            for answer, start in zip(rows.placed, rows.begun, strict=True)
        ]
        width = max(1, *map(len, ends))
        places = torch.tensor([[*row, *[0] * (width - len(row))] for row in ends], device=device)
        counts = torch.tensor(list(map(len, ends)), device=device)
        read = states.gather(1, places[..., None].expand(-1, -1, states.shape[-1]))
        odds = self.judge.log_odds(read)
        return -combined(odds, counts, self.settings.combine, self.settings.value)
