"""Why importing a file must fail, judged from its source."""

from __future__ import annotations

import ast
from pathlib import Path

from sea_toolkit.registry.static.locate import MissingModuleError, find_spec, source_file

_EXITS = {"sys.exit", "os._exit", "exit", "quit", "os.abort"}
_MOVES_PATHS = (b"sys.path", b"sys.meta_path", b"sys.modules", b"addsitedir")


def certain_failure(file: Path, module: str, *, follow: bool = True, seen: set[Path] | None = None) -> str | None:
    """Why importing this file must fail, or None.

    Args:
        file: the source.
        module: its dotted name.
        follow: look into imported modules of the same top-level package as well.
        seen: files already examined.
    """
    seen = set() if seen is None else seen
    seen.add(file)
    try:
        source = file.read_bytes()
        tree = ast.parse(source, filename=str(file))
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    except SyntaxError as error:
        return f"{type(error).__name__}: {error.msg} ({file}, line {error.lineno})"
    except ValueError as error:  # null bytes, on older Pythons
        return f"SyntaxError: {error} ({file})"
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    steady = not any(word in source for word in _MOVES_PATHS)
    for statement in tree.body:
        if stops := _stops(statement):
            return f"{stops} ({file}, line {statement.lineno})"
        if not isinstance(statement, ast.Import | ast.ImportFrom) or not steady:
            continue
        for name in _imported(statement, package):
            try:
                spec = find_spec(name)
            except MissingModuleError as error:
                return f"ModuleNotFoundError: {error} ({file}, line {statement.lineno})"
            inner = source_file(spec)
            ours = follow and name.split(".")[0] == module.split(".")[0]
            if ours and inner is not None and inner not in seen:
                problem = certain_failure(inner, name, seen=seen)
                if problem:
                    return problem
    return None


def _stops(statement: ast.stmt) -> str | None:
    """What an unconditional raise or exit looks like when it happens, or None."""
    if isinstance(statement, ast.Raise) and statement.exc is not None:
        error = statement.exc
        if isinstance(error, ast.Call):
            text = ", ".join(str(a.value) if isinstance(a, ast.Constant) else ast.unparse(a) for a in error.args)
            return f"{ast.unparse(error.func)}: {text}" if text else ast.unparse(error.func)
        return ast.unparse(error)
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and ast.unparse(call.func) in _EXITS:
        return f"SystemExit: {', '.join(ast.unparse(a) for a in call.args)}".rstrip(": ")
    return None


def _imported(statement: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    """Absolute names of the modules that the statement certainly imports."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if statement.module == "__future__":
        return []
    if not statement.level:
        return [statement.module or ""]
    parts = package.split(".")
    base = parts[: len(parts) - statement.level + 1]
    if not base or not base[0]:
        return []
    return [".".join([*base, statement.module] if statement.module else base)]
