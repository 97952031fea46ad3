"""A look at a plugin's source without importing it: what it would register, and why it would certainly fail.

A plugin is called broken only for what fails on every import: a missing module, a syntax error, an unconditional
`raise` or exit, hooks that do not fit. Anything else counts as sound until a load fails.
"""

from __future__ import annotations

import ast
from pathlib import Path

from sea_toolkit.registry import hookcheck
from sea_toolkit.registry.records import KINDS, PluginRecord
from sea_toolkit.registry.static.import_failure import certain_failure
from sea_toolkit.registry.static.locate import (
    MissingModuleError,
    find_spec,
    locate,
    module_of,
    source_file,
    source_text,
)
from sea_toolkit.registry.static.mentions import mentions
from sea_toolkit.registry.static.registrations import judge, registrations_in
from sea_toolkit.registry.static.syntax import (
    commands_in,
    declared_hooks,
    defines_class,
    plugin_body,
    stated_api,
    top_level_names,
)


def inspect(record: PluginRecord) -> None:
    """Fill a record that is not loaded with what its source tells."""
    if record.unloadable is not None:
        return
    record.checked = "static"
    try:
        _inspect(record)
    except Exception as error:  # nesting too deep for the parser, an odd finder on sys.meta_path
        record.warn(f"its source cannot be examined ({type(error).__name__}: {error})")


def _inspect(record: PluginRecord) -> None:
    file: Path | None
    if record.from_user:
        attribute, module = "", record.name
        file = Path(record.file) if record.file else None
        problem = certain_failure(file, module, follow=False) if file else None
    else:
        module, attribute = module_of(record.value), record.value.partition("[")[0].partition(":")[2].strip()
        problem = _missing(module) or _failing_parent(module)
        file = None if problem else locate(module)
        record.file = str(file) if file else None
        problem = problem or (certain_failure(file, module) if file else None)
    if problem:
        record.fail(problem)
    tree = _parsed(_source(file, module))
    if tree is None:
        if not problem:
            record.hooks = sorted(mentions(record) or {})
            record.unlisted = [kind for kind, hook in KINDS.items() if hook in record.hooks]
        return
    names = top_level_names(tree)
    if attribute and names is not None and attribute.split(".")[0] not in names and not problem:
        record.fail(f"AttributeError: module {module!r} has no attribute {attribute!r}")
        return
    body = plugin_body(tree, attribute)
    if body is not None:
        _judge(record, tree, body, of_class=defines_class(tree, attribute))


def examined(record: PluginRecord) -> PluginRecord:
    """A new record with what the source of a plugin tells, whatever the plugin's state."""
    copy = PluginRecord(record.name, record.distribution, record.version, record.value)
    copy.file, copy.from_user, copy.metadata = record.file, record.from_user, record.metadata
    copy.unloadable = record.unloadable
    inspect(copy)
    return copy


def provided(record: PluginRecord) -> dict[str, dict[str, str]]:
    """Kind to name to summary: what the source of a plugin registers by literal names, whatever its state."""
    return examined(record).provides


def _judge(record: PluginRecord, tree: ast.Module, body: list[ast.stmt], of_class: bool) -> None:
    refusal = hookcheck.api_error(api) if (api := stated_api(body)) is not None else None
    functions = declared_hooks(tree, body, of_class)
    hooks = [hook for hook, _ in functions]
    errors = [error for hook in hooks if hook.marked and (error := hookcheck.error_in(hook))]
    for hook in hooks:
        if warning := hookcheck.warning_in(hook):
            record.warn(warning)
    kinds = {hook: kind for kind, hook in KINDS.items()}
    for hook, function in functions:
        if not hook.marked:
            continue
        if hook.hook == "sea_register_commands" and (commands := commands_in(function)):
            record.provides["command"] = commands
        elif hook.hook in kinds:
            kind = kinds[hook.hook]
            found, all_read = registrations_in(function, tree)
            if found:
                record.provides.setdefault(kind, {}).update({one.name: one.summary for one in found})
            if not all_read:
                record.unlisted.append(kind)
            errors += judge(record, kind, found)
    if record.failed:
        return
    if refusal:
        record.fail(refusal, "refused")
    elif errors:
        record.fail(errors[0])
    else:
        record.hooks = sorted({hook.hook for hook in hooks if hook.marked and hook.hook in hookcheck.SIGNATURES})


def _missing(module: str) -> str | None:
    try:
        find_spec(module)
    except MissingModuleError as error:
        return f"ModuleNotFoundError: {error}"
    return None


def _failing_parent(module: str) -> str | None:
    parts = module.split(".")
    for end in range(1, len(parts)):
        parent = ".".join(parts[:end])
        file = source_file(find_spec(parent))
        if file is not None and (problem := certain_failure(file, parent)):
            return problem
    return None


def _source(file: Path | None, module: str) -> bytes | str | None:
    try:
        return file.read_bytes() if file else source_text(module)
    except OSError:
        return None


def _parsed(source: bytes | str | None) -> ast.Module | None:
    try:
        return None if source is None else ast.parse(source)
    except (SyntaxError, ValueError):
        return None
