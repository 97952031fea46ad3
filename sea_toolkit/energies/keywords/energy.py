"""The energy `keywords`: words that have to be in the answer, and words that must not be."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse, survival
from sea_toolkit.energies.keywords.automaton import ENDED, FOUND, Machine, Transitions, Vocabulary
from sea_toolkit.energies.keywords.inflection import dictionary, inflections
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.token_bytes import token_bytes
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy


class Keywords(Energy):
    """The expected number of required words that are missing, and of forbidden words that occur.

    A word occurs where it stands between boundaries, in any case: "field" is in "Field," and not in "fieldwork". The
    answer is read byte by byte through an automaton, so that it does not matter how it is cut into tokens; for a
    relaxed answer the probability is exact for independent tokens, and linear in each position. A hard answer costs a
    whole number: 1 for each word. After the constraints of COLD (Qin et al. 2022, arXiv 2202.11705).

    Args:
        words: required words or phrases; `mouse|mice` lists the spellings of one, and is then not inflected.
        forbidden: words or phrases, written in the same way.
        from_prompt: a regular expression with one group, whose match in each prompt holds more required words: every
            run of letters, digits, hyphens and apostrophes is one.
        inflect: also take the plural, the third person, the past and the -ing form of each English word (of a phrase's
            last). Needs `pip install 'sea-alignment[inflection]'`.

    Raises:
        RecipeError: no words, an empty one, one that is required and forbidden, a wrong expression, or
            inflections without the package that knows them.
    """

    differentiable = True

    def __init__(
        self,
        *,
        words: list[str] | None = None,
        forbidden: list[str] | None = None,
        from_prompt: str | None = None,
        inflect: bool = False,
    ) -> None:
        self.words, self.forbidden, self.inflect = words or [], forbidden or [], inflect
        if not (self.words or self.forbidden or from_prompt):
            raise RecipeError("keywords has no words", expected="words, forbidden or from_prompt")
        for word in [*self.words, *self.forbidden]:
            if not all(spelling.strip() for spelling in word.split("|")):
                raise RecipeError(f"{word!r} among the keywords has an empty spelling")
        self._refuse_both(self.words)
        if inflect:
            dictionary()
        try:
            self.pattern = None if from_prompt is None else re.compile(from_prompt)
        except re.error as error:
            raise RecipeError(f"from_prompt = {from_prompt!r} is no regular expression: {error}") from error
        if self.pattern is not None and self.pattern.groups != 1:
            raise RecipeError(
                f"from_prompt = {from_prompt!r} has {self.pattern.groups} groups",
                expected="one, around the words",
                hint=r"with the words: ([^.]*)",
            )

    def bind(self, context: Context) -> BoundEnergy:
        """Build the automata over the policy's tokens.

        Raises:
            RecipeError: `from_prompt` finds no words in a prompt.
            ModelError: the tokenizer does not decode token by token.
        """
        policy = context.policy
        rows = {prompt: list(dict.fromkeys([*self.words, *self._of(prompt)])) for prompt in context.prompts}
        words = list(dict.fromkeys([w for row in rows.values() for w in row] + self.forbidden))
        machines = [Machine(self._spellings(word)) for word in words]
        tokens = token_bytes(policy.tokenizer, policy.table.shape[0])
        vocabulary = Vocabulary(tokens, policy.eos_ids)
        reader = Reader([vocabulary.transitions(machine) for machine in machines], policy.device)
        signs = {
            prompt: torch.tensor([(w in self.forbidden) - float(w in row) for w in words], device=policy.device)
            for prompt, row in rows.items()
        }
        counter = KeywordCounter(machines, reader, signs, context.prompts)

        def unmet(prompt: str, text: str, value: float) -> str:
            pairs = zip(words, machines, signs[prompt].tolist(), strict=True)
            found = [(word, sign, machine.finds(text)) for word, machine, sign in pairs]
            missing = [word for word, sign, there in found if sign < 0 and not there]
            forbidden = [word for word, sign, there in found if sign > 0 and there]
            lists = (("without", missing), ("with the forbidden", forbidden))
            return "; ".join(f"{what} {', '.join(map(repr, row))}" for what, row in lists if row)

        return BoundEnergy(energy=counter.energy, score_text=counter.score_text, unmet=unmet)

    def _of(self, prompt: str) -> list[str]:
        if self.pattern is None:
            return []
        match = self.pattern.search(prompt)
        words = re.findall(r"\w+(?:['’-]\w+)*", match.group(1) or "") if match else []
        if not words:
            raise RecipeError(
                f"from_prompt = {self.pattern.pattern!r} finds no words in the prompt {prompt[:80]!r}",
                expected="a group that holds words",
            )
        self._refuse_both(words)
        return words

    def _refuse_both(self, words: list[str]) -> None:
        both = [word for word in words if word in self.forbidden]
        if both:
            raise RecipeError(f"the keyword {both[0]!r} is both required and forbidden")

    def _spellings(self, word: str) -> list[str]:
        variants = [spelling.strip() for spelling in word.split("|")]
        spellings = list(variants)
        if self.inflect and len(variants) == 1:
            head, space, last = variants[0].rpartition(" ")
            spellings += [head + space + form for form in inflections(last)]
        # the automaton lowers ASCII; other letters come in both cases
        return [form for s in spellings for form in (s, s.lower(), s.upper(), s.capitalize())]


class KeywordCounter:
    """The keywords of a run.

    Args:
        machines: one per word.
        reader: the same over tokens.
        signs: prompt → `[W]`, −1 where a word is required, 1 where it is forbidden, 0 where it is another prompt's.
        prompts: P texts.
    """

    def __init__(
        self, machines: list[Machine], reader: Reader, signs: dict[str, Float[Tensor, " W"]], prompts: Sequence[str]
    ) -> None:
        self.machines, self.reader, self.signs = machines, reader, signs
        self.rows = torch.stack([signs[prompt] for prompt in prompts])

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Of responses, read token by token."""
        return self._count(self.reader(response), self.rows[:, None])

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """The same of N texts."""
        counts = [[float(m.finds(text)) for m in self.machines] for text in texts]
        signs = torch.stack([self.signs[prompt] for prompt in prompts])
        return self._count(torch.tensor(counts, device=signs.device), signs)

    @staticmethod
    def _count(counts: Float[Tensor, "*rows W"], signs: Float[Tensor, "*batch W"]) -> Float[Tensor, "*rows"]:
        return (counts * signs).sum(-1) + (signs < 0).sum(-1)


class Reader:
    """The probability that each of W words occurs in a response.

    Args:
        machines: automata over the policy's tokens.
        device: the policy's.
    """

    def __init__(self, machines: Sequence[Transitions], device: Any) -> None:
        size, width = (max(m.sources.shape[i] for m in machines) for i in (0, 1))

        def padded(values: list[Any]) -> Tensor:
            return torch.stack([torch.tensor(v) for v in values]).to(device)

        self.table = torch.cat([torch.tensor(m.columns) for m in machines], 1).float().to(device)
        self.sources = torch.zeros(len(machines), size, width, device=device)
        self.targets = torch.zeros(len(machines), width, size, device=device)
        self.index = torch.zeros(len(machines), width, dtype=torch.long, device=device)
        self.closed = torch.zeros(len(machines), size, device=device)
        self.start = torch.zeros(len(machines), size, device=device)
        self.kept = torch.zeros(size, device=device)
        self.kept[[FOUND, ENDED]] = 1.0
        first = 0
        for w, m in enumerate(machines):
            states, count = m.sources.shape
            self.sources[w, :states, :count] = torch.tensor(m.sources).float()
            self.targets[w, torch.arange(count), torch.tensor(m.targets)] = 1.0
            self.index[w, :count] = torch.arange(first, first + count)
            self.closed[w, :states] = torch.tensor(m.closing == FOUND).float()
            self.start[w, m.start] = 1.0
            first += count

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C W"]:
        p, c, t = response.shape
        readings = response.embed(self.table)
        mask = self._not_padding(response)
        state = self.start.expand(p, c, -1, -1)
        for i in range(t):
            steps = readings[:, :, i][..., self.index]
            flow = torch.einsum("pcws,wsm->pcwm", state, self.sources) * steps
            moved = torch.einsum("pcwm,wms->pcws", flow, self.targets)
            state = torch.where(mask[:, :, i, None, None], moved + state * self.kept, state)
        return (state * self.closed).sum(-1)

    @staticmethod
    def _not_padding(response: SoftResponse) -> Bool[Tensor, "P C T"]:
        """False after a text that was cut off without an end; after an end the automaton is in `ENDED`."""
        ended = survival(response.probability(response.eos_ids).sum(-1).detach()) <= 0
        return (response.alive > 0) | ended
