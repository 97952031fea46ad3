"""The energy `remote-reward`: the negative of a reward model that a server runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from sea_toolkit.energies.remote_reward.apis import APIS, Api, ApiName, Shown
from sea_toolkit.energies.remote_reward.client import Client, Request
from sea_toolkit.energies.remote_reward.guide import WordGuided, word_prior
from sea_toolkit.energies.remote_reward.server import Reads, RewardServer
from sea_toolkit.errors import RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.problem.columns import Columns
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.function_inputs import LABELS
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.shown_text import ShownText
from sea_toolkit.registry.allowed import checked_url, server_of
from sea_toolkit.util.conversation import Prompt

_OWNERS = {"sglang": ("sglang",), "vllm": ("vllm-classify", "vllm-pooling")}
"""What `/v1/models` says of its owner, and the kinds that such a server may be, the first that has its path."""


class RemoteReward(Energy):
    """−r(x, y) by a server: SGLang `/classify`, vLLM `/classify`, `/pooling` and `/score`, or OpenRLHF `/get_reward`.

    A server reads texts, and has no gradient of its own. Each text is asked about once in a run. A request that fails
    is sent again after 0.5 s, 1 s, 2 s and so on; when it has failed for good, the run ends with the best so far, and
    can be resumed.

    A recipe may name a server, and only the user may allow it: `--reward http://host:port` does, and so do
    `--allow-network` and, in Python, `reward="http://host:port"` and `allow_network=`.

    Args:
        url: `http://host:port`, or with a path in front of the server's own.
        api: the kind of server; "auto" asks it.
        served_model: the model's name at the server; needed where it has several.
        reads: what is scored; see the energy `reward`. A chat template is applied here, with `tokenizer`, or by vLLM.
            "auto": with a tokenizer as for `reward`; without, vLLM's chat template, else prompt and answer as text.
        tokenizer: a folder or Hugging Face id with the model's tokenizer: texts are sent as its tokens.
        output: index of the output that is the reward, where there are several.
        headers: name → text with `$SEA_REWARD_…`, an environment variable; values are neither written nor shown.
        batch: texts in one request, at most.
        max_concurrency: requests at a time, at most.
        timeout: seconds for one attempt.
        retries: further attempts of a request that failed.
        gradient: "words" asks the server about each word of the policy alone, once, and follows those scores: a
            direction for samplers such as `tilted`. The value stays the server's own.
    """

    columns = Columns(used=LABELS)
    label: str

    def __init__(
        self,
        *,
        url: str,
        api: ApiName | Literal["auto"] = "auto",
        served_model: str | None = None,
        reads: Reads = "auto",
        tokenizer: str | None = None,
        output: Annotated[int, Field(ge=0)] | None = None,
        headers: dict[str, str] | None = None,
        batch: Annotated[int, Field(gt=0)] = 16,
        max_concurrency: Annotated[int, Field(gt=0, le=256)] = 8,
        timeout: Annotated[float, Field(gt=0)] = 60.0,
        retries: Annotated[int, Field(ge=0, le=20)] = 4,
        gradient: Literal["none", "words"] = "none",
    ) -> None:
        self.differentiable = gradient == "words"
        self.url, self.api, self.served_model, self.output = checked_url(url), api, served_model, output
        self.reads, self.tokenizer, self.headers, self.batch = reads, tokenizer, headers or {}, batch
        self.max_concurrency, self.timeout, self.retries = max_concurrency, timeout, retries
        for known in APIS.values():  # the whole address of an endpoint may be given
            if self.url.endswith(known.path):
                self.url = self.url.removesuffix(known.path).removesuffix("/v1")
                if known.path != "/classify" and api == "auto":
                    self.api = known.name
        self.servers = [self.url]
        self.reward_model, self.label = url, server_of(url)

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Ask the server about one text, before any weights are read.

        Raises:
            RecipeError: a header's environment variable is not set, or options that do not fit the kind of server.
            ModelError: the server is not there, is of no known kind, or does not answer as its kind does.
        """
        self.connected(finder)

    def outlook(self, foresight: Foresight) -> Outlook:
        """The model runs on the server: it costs nothing here, and nobody is asked."""
        return Outlook("words" if self.differentiable else "none")

    def bind(self, context: Context) -> BoundEnergy:
        """Ask the server what it is.

        Raises:
            RecipeError, ModelError: as `check`.
        """
        server, finder = self.connected(context.finder), context.finder
        fingerprint = f"{server.api.name} {server.model or ''}"
        if not self.differentiable:
            return BoundEnergy(
                score_text=lambda prompts, texts: -server.scores(prompts, texts),
                is_reward=True,
                warnings=server.warnings,
                fingerprint=fingerprint,
            )
        key = ("words of", self.url, fingerprint, self.reads, self.tokenizer, self.output, context.policy)
        prior = finder.load_once(key, lambda: word_prior(server, context.policy, finder.progress))
        reward = WordGuided(server, prior, context)
        note = f"{self.url} gives the exact value; its gradient is what it says of single words"
        return BoundEnergy(
            energy=lambda response: -reward(response),
            is_reward=True,
            warnings=[*server.warnings, note],
            fingerprint=fingerprint,
        )

    def connected(self, finder: ModelFinder) -> RewardServer:
        """The server, once it has scored one text.

        Raises:
            RecipeError, ModelError: as `check`.
        """
        client = Client(self.url, self.headers, self.timeout, self.retries, self.max_concurrency)
        api, model = self._kind(client)
        shown = None
        if self.tokenizer is not None:
            if api.reads_pairs:
                raise RecipeError(f"{api.name} reads prompt and answer apart", hint="leave tokenizer out")
            source = finder.find(self.tokenizer, "reward")
            own = read_tokenizer(source, self.tokenizer, trust_remote_code=finder.trust_remote_code)
            shown = ShownText(own, self.tokenizer, self.reads)
        server = RewardServer(client, api, model, shown, self.reads, self.output, self.batch)
        server.scores([Prompt.of("Hello")], ["Hi."])
        return server

    def _kind(self, client: Client) -> tuple[Api, str | None]:
        """The kind of the server, and the name of its model where it says one."""
        listed = client.try_once(Request("/v1/models"))
        cards = listed.get("data") if isinstance(listed, dict) else None
        cards = [card for card in cards if isinstance(card, dict)] if isinstance(cards, list) else []
        model = self.served_model or (str(cards[0].get("id")) if cards else None)
        if self.api != "auto":
            return APIS[self.api], model
        names = _OWNERS.get(str(cards[0].get("owned_by")) if cards else "", ("openrlhf",))
        probe = [Shown("Hello", "Hi.", "Hello Hi.")]
        for name in names:
            if len(names) == 1 or client.try_once(APIS[name].request(probe, model)) is not None:
                return APIS[name], model
        raise client.error(
            f"has none of {', '.join(APIS[name].path for name in names)}",
            expected=f"a server of one of the kinds {', '.join(APIS)}",
            hint='api = "…" names the kind',
        )
