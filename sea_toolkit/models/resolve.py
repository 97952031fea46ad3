"""From what a user writes after `--model` to a folder, a file or a Hugging Face id."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sea_toolkit.errors import ModelError, did_you_mean
from sea_toolkit.models.hf_hub import is_hub_id
from sea_toolkit.registry.records import KINDS
from sea_toolkit.util.paths import user_path
from sea_toolkit.util.progress import Progress, silent

if TYPE_CHECKING:
    from sea_toolkit.models.named import NamedModel
    from sea_toolkit.registry.hub import PluginHub
    from sea_toolkit.registry.items import Item


def resolve_model(name: str | Path, hub: PluginHub, role: str, progress: Progress = silent) -> Path | str:
    """Where to load a model from.

    Args:
        name: a catalog name, a local folder or file, or a Hugging Face id (`owner/name`, `owner/name@revision`).
        hub: knows the catalog.
        role: "policy" or "reward"; a catalog model of the other role is refused.
        progress: watches the download if one is needed.

    Returns:
        A Path on this machine, or the Hugging Face id unchanged.

    Raises:
        ModelError: the name is unknown, has another role, or cannot be had.
        PluginError: the plugin that offers the model is broken, or two offer the same name.
    """
    text, path = str(name), user_path(name, f"the name of the {role} model")
    if isinstance(name, Path) or text.startswith(("/", ".", "~")):
        return _local(path, text)
    known = {item.name for item in hub.items("model")} | {item.qualified for item in hub.items("model")}
    if text in known:
        return _from_catalog(text, hub, role, progress)
    if path.exists():
        return path
    if is_hub_id(text) and not text.endswith((".safetensors", ".gguf", ".bin")):
        return text
    if "/" in text or "\\" in text:
        return _local(path, text)
    hub.load_for(KINDS["model"])  # the name may come from a plugin that is known only once it is loaded
    names = {item.name: item for item in hub.items("model")}
    if text in names or any(text == item.qualified for item in names.values()):
        return _from_catalog(text, hub, role, progress)
    fitting = [n for n, item in names.items() if model_of(item).role == role]
    raise ModelError(
        f"no {role} model is called {text!r}",
        expected="a name from the catalog, a local folder or file, or a Hugging Face id (owner/name)",
        hint=did_you_mean(text, fitting) + " (sea-toolkit models list)",
    )


def model_of(item: Item) -> NamedModel:
    """The model behind a catalog item; its failures name the plugin.

    Raises:
        PluginError: as `made_model`.
    """
    from sea_toolkit.models.checked import CheckedModel

    return CheckedModel(made_model(item), item.owner)


def made_model(item: Item) -> NamedModel:
    """The model behind a catalog item, as its plugin has made it.

    Raises:
        PluginError: it cannot be made.
    """
    model: NamedModel = item.build({}, where=f"model {item.name}")
    return model


def _from_catalog(name: str, hub: PluginHub, role: str, progress: Progress) -> Path:
    item = hub.get("model", name, for_what=f"as the {role} model")
    model = model_of(item)
    if model.role != role:
        what = {"policy": "a language model", "reward": "a reward model"}
        raise ModelError(
            f"{name} is {what.get(model.role, model.role)}",
            expected=f"{what.get(role, role)} here",
            hint="sea-toolkit models list shows the role of each model",
        )
    return model.find() or model.pull(progress)


def _local(path: Path, written: str) -> Path:
    if not path.exists():
        hint = "check the path" if written.isprintable() else r"in double quotation marks a backslash is doubled: \\"
        raise ModelError(f"there is no model at {path}", expected="an existing folder or file", hint=hint)
    return path
