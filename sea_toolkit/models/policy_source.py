"""Where the policy of a recipe is read from: its model at a revision, and an adapter on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sea_toolkit.errors import ModelError, RecipeError
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.folder import facts_of, has_adapter, refuse_file
from sea_toolkit.models.gguf import converted_gguf, gguf_in
from sea_toolkit.models.policy_spec import PolicySpec


@dataclass(frozen=True)
class PolicySource:
    """A policy before it is read.

    Attributes:
        source: a folder or a Hugging Face id; of the adapter, where the recipe names one.
        base: what that adapter is put onto, in the place of the model that it names itself.
        name: for messages.
    """

    source: Path | str
    base: Path | str | None
    name: str

    def commits(self, trust_remote_code: bool) -> dict[str, str]:
        """The commits of the repositories on the Hugging Face hub, as far as it comes from there."""
        parts = {"commit": self.source} if self.base is None else {"commit": self.base, "adapter commit": self.source}
        folders = {
            what: facts_of(source, self.name, trust_remote_code=trust_remote_code) for what, source in parts.items()
        }
        return {what: folder.name for what, folder in folders.items() if folder.parent.name == "snapshots"}


def find_policy(spec: PolicySpec, finder: ModelFinder) -> PolicySource:
    """Where a recipe's policy is to be read from.

    Raises:
        ModelError: it cannot be found, is not a language model, or its adapter is none.
        RecipeError: a revision of a model that has none.
    """
    source = find_language_model(spec.model, finder)
    if spec.revision is not None:
        if isinstance(source, Path) or "@" in source:
            raise RecipeError(
                f"policy.revision is {spec.revision!r}, and the model is {spec.model!r}",
                expected="a Hugging Face id (owner/name), whose branch, tag or commit it names",
            )
        source = f"{source}@{spec.revision}"
    if spec.adapter is None:
        return PolicySource(source, None, spec.name)
    adapter = finder.find(spec.adapter, "policy")
    if not has_adapter(facts_of(adapter, spec.adapter, trust_remote_code=False)):
        raise ModelError(
            f"{spec.adapter} holds no adapter", expected="a folder or Hugging Face id with adapter_config.json"
        )
    return PolicySource(adapter, source, spec.name)


def find_language_model(name: str, finder: ModelFinder) -> Path | str:
    """Where a causal LM is to be loaded from: a folder, or a Hugging Face id. A GGUF file is de-quantized first.

    Raises:
        ModelError: it cannot be found, or is not a language model.
    """
    source = finder.find(name, "policy")
    if isinstance(source, Path):
        gguf = gguf_in(source)
        if gguf is not None:
            return converted_gguf(gguf, finder.progress)
        refuse_file(source, name)
    return source
