"""Nothing in the package needs a module or a call that Windows lacks, but for those that are asked for first."""

from __future__ import annotations

import ast
from pathlib import Path

import sea_toolkit

MODULES = {"resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "posix", "readline", "syslog", "curses"}
CALLS = {
    "os": {"fork", "forkpty", "getuid", "geteuid", "getgid", "getpgid", "killpg", "setsid", "uname", "fchmod", "chown",
           "fchown", "lchown", "mkfifo", "statvfs", "getloadavg", "sched_getaffinity", "sysconf", "pread", "O_NOFOLLOW",
           "O_DIRECTORY", "O_CLOEXEC", "nice", "sync", "WNOHANG", "posix_fadvise"},
    "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGTSTP", "SIGPIPE", "alarm",
               "setitimer", "pause", "pthread_sigmask"},
    "time": {"tzset"},
}  # fmt: skip


class Finder(ast.NodeVisitor):
    """Collects imports and attributes that Windows comes to: those in a `try` with handlers, and those behind
    `… if sys.platform == "win32" else`, are asked for first."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_Try(self, node: ast.Try) -> None:
        if not node.handlers:
            self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        if ast.unparse(node.test) == "sys.platform == 'win32'":
            self.visit(node.body)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [f"import {name.name}" for name in node.names if name.name.split(".")[0] in MODULES]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module in MODULES:
            self.found.append(f"from {node.module} import")
        self.found += [f"{node.module}.{n.name}" for n in node.names if n.name in CALLS.get(node.module or "", ())]

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.attr in CALLS.get(node.value.id, ()):
            self.found.append(f"{node.value.id}.{node.attr}")
        self.generic_visit(node)


def found_in(source: str) -> list[str]:
    finder = Finder()
    finder.visit(ast.parse(source))
    return finder.found


def test_the_finder_finds() -> None:
    assert found_in("import resource\nfrom signal import SIGALRM\nos.fork()") == [
        "import resource", "signal.SIGALRM", "os.fork",
    ]  # fmt: skip
    assert found_in("try:\n    import resource\nexcept ImportError:\n    resource = None") == []
    assert found_in("0 if sys.platform == 'win32' else os.O_NOFOLLOW") == []
    assert found_in("os.O_NOFOLLOW if sys.platform == 'win32' else 0") == ["os.O_NOFOLLOW"]


def test_every_module_imports_without_what_windows_lacks() -> None:
    package = Path(sea_toolkit.__file__).parent
    found = {str(file.relative_to(package)): found_in(file.read_text("utf-8")) for file in package.rglob("*.py")}
    assert {file: names for file, names in found.items() if names} == {}
