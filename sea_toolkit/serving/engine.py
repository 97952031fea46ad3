"""The models of a server, and runs with them: orders in, answers out; nothing of HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from sea_toolkit.events import Event
from sea_toolkit.lm.policy import Policy
from sea_toolkit.registry.allowed import NOTHING, Allowed
from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.runs.compose import Composition
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.runs.session import Session
from sea_toolkit.serving.answers import Answer, answer_of
from sea_toolkit.serving.menu import Menu
from sea_toolkit.serving.order import Order
from sea_toolkit.util.conversation import Prompt
from sea_toolkit.util.halt import Halt
from sea_toolkit.util.progress import Progress

_TRIAL = "Hello"


class Engine:
    """Keeps the models of a menu loaded; one thread at a time may run.

    Args:
        menu: what can be ordered.
        hub: the plugins.
        policy: a model and tokenizer of one's own; else that of the recipes is loaded.
        allowed: what the recipes' energies may run and ask.
        trust_remote_code: whether Python that comes with a model may run.
        progress: watches downloads.

    Attributes:
        reward_labels: of the rewards in the menu's recipes.
    """

    def __init__(
        self,
        menu: Menu,
        hub: PluginHub,
        *,
        policy: Policy | None = None,
        allowed: Allowed = NOTHING,
        trust_remote_code: bool = False,
        progress: Progress | None = None,
    ) -> None:
        self.menu, self.hub, self.allowed = menu, hub, allowed
        self.chat = Session(hub, policy=policy, progress=progress, trust_remote_code=trust_remote_code)
        self.plain = self.chat
        self.reward_labels: set[str] = set()
        self._composing = threading.Lock()  # a hub may load a plugin when it is asked for a name

    def load(self) -> None:
        """Load every model that the recipes name, and let each read a prompt.

        Raises:
            SeaError: a recipe is wrong, or a model cannot be had.
        """
        self.hub.load_for("sea_observe")
        for recipe in self.menu.recipes.values():
            terms = self.chat.bind(self._composed(recipe), [_TRIAL]).terms
            self.reward_labels |= {term.label for term in terms if term.is_reward}
        policy = self.chat.policy(self.menu.recipes[self.menu.default].policy)
        if policy.template != "plain":
            plain = Policy(policy.model, policy.tokenizer, name=policy.name, template="plain")
            self.plain = Session(self.hub, policy=plain)
            self.plain.finder = self.chat.finder

    def check(self, order: Order) -> None:
        """Refuse a recipe that cannot be run, without its models.

        Raises:
            SeaError: see `Session.compose`.
        """
        self._composed(order.recipe)

    def prompt_tokens(self, order: Order) -> list[int]:
        """Of each prompt of an order.

        Raises:
            RecipeError: a prompt is too long.
            ModelError: the chat template refuses it.
        """
        session = self._session(order)
        policy = session.policy(order.recipe.policy)
        return [len(ids) for ids in policy.encode(order.prompts, order.recipe.max_new_tokens)]

    def run(
        self,
        orders: Sequence[Order],
        on_event: Callable[[Event], None],
        should_stop: Callable[[], bool],
        prompts: Sequence[Prompt],
        prompt_tokens: Sequence[Sequence[int]],
    ) -> list[list[Answer]]:
        """Run orders of one key together.

        Args:
            orders: what is asked.
            on_event: told of each step.
            should_stop: asked between tokens; what it raises ends the run.
            prompts: those of all orders, each once.
            prompt_tokens: of each order's prompts.

        Raises:
            SeaError: the run failed.
        """
        first = orders[0]
        composition, halt = self._composed(first.recipe), Halt(first.seconds, should_stop)
        run = self._session(first).run(composition, prompts, on_event=on_event, halt=halt)
        results = run.execute()
        rows = {prompt: row for row, prompt in enumerate(prompts)}
        return [
            [
                answer_of(order, results[rows[prompt]], run.problem, rows[prompt], count)
                for prompt, count in zip(order.prompts, counts, strict=True)
            ]
            for order, counts in zip(orders, prompt_tokens, strict=True)
        ]

    def _session(self, order: Order) -> Session:
        return self.plain if order.continues else self.chat

    def _composed(self, recipe: Recipe) -> Composition:
        with self._composing:
            return self.chat.compose(recipe, allowed=self.allowed)
