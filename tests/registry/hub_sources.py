"""Sources of small plugins for the hub's tests, healthy and otherwise."""

from __future__ import annotations


def energy(name: str, *, head: str = "", function: str = "def f(response, *, factor: float = 1.0):") -> str:
    """A plugin that registers one energy of that name."""
    return f'''\
import sea_toolkit as sea
{head}

@sea.hookimpl
def sea_register_energies(register):
    @register("{name}")
    {function}
        """The energy {name}."""
        return factor
'''


def hook(signature: str, body: str = "pass", decorator: str = "@sea.hookimpl", head: str = "") -> str:
    """A plugin with one function of that signature."""
    return f"import sea_toolkit as sea\n{head}\n\n{decorator}\ndef {signature}:\n    {body}\n"


BROKEN = {
    "import error": (
        "import no_such_module_of_mine\n",
        "ModuleNotFoundError: No module named 'no_such_module_of_mine'",
    ),
    "raise": ('raise RuntimeError("the licence server is down")\n', "RuntimeError: the licence server is down"),
    "exit": ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    "syntax": ("def broken(:\n    pass\n", "SyntaxError"),
    "misspelt hook": (hook("sea_register_energy(register)"), "did you mean 'sea_register_energies'"),
    "wrong argument": (
        hook("sea_register_energies(registry)"),
        "argument 'registry' that the hook does not have; expected: def sea_register_energies(register)",
    ),
    "default": (
        hook("sea_register_energies(register=None)"),
        "argument 'register' of sea_register_energies has a default",
    ),
    "variadic": (hook("sea_register_energies(*args)"), "takes *args or **kwargs"),
    "wrapper": (
        hook("sea_register_energies(register)", "yield", "@sea.hookimpl(wrapper=True)"),
        "is a hook wrapper",
    ),
    "duplicate": (
        hook(
            "sea_register_energies(register)",
            'register("twice", target="a.b:c")\n    register("twice", target="a.b:d")',
        ),
        "energy 'twice' is registered twice",
    ),
}
"""What is wrong: the source, and a part of the cause; a load and a look at the source both find it."""

BROKEN_AT_LOAD = {
    "raises in a hook": (hook("sea_register_energies(register)", "1 / 0"), "ZeroDivisionError: division by zero"),
    "second hook raises": (
        energy("half") + '\n\n@sea.hookimpl\ndef sea_register_samplers(register):\n    raise OSError("no disk")\n',
        "in sea_register_samplers: OSError: no disk",
    ),
    "exits in a hook": (hook("sea_register_energies(register)", "raise SystemExit(4)"), "SystemExit: 4"),
    "user error at import": (
        'import sea_toolkit as sea\nif True:\n    raise sea.RecipeError("not yours to raise")\n',
        "not yours to raise",
    ),
    "not callable": (
        hook("sea_register_energies(register)", 'register("seven", 7)'),
        "7 (int), which cannot be called",
    ),
    "no name": (hook("sea_register_energies(register)", "register(print)"), "got the name <built-in function print>"),
    "bad name": (hook("sea_register_energies(register)", 'register("a:b", target="a:b")'), "got the name 'a:b'"),
    "bad summary": (hook("sea_register_energies(register)", 'register("a", target="a:b", summary=3)'), "the summary 3"),
    "bad target": (hook("sea_register_energies(register)", 'register("a", target="a.b")'), "target 'a.b'"),
    "nothing registered": (hook("sea_register_energies(register)", 'register("a")'), "got nothing to register"),
    "hidden options": (energy("k", function="def f(response, **factor):"), "takes **factor"),
    "positional option": (
        energy("p", function="def f(response, factor=1.0):"),
        "option 'factor' of f() is positional",
    ),
    "core's parameter behind the star": (
        energy("n", function="def f(response, *, noise, factor=1.0):"),
        "'noise' of f() is filled by the core",
    ),
    "message that cannot be printed": (
        "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\nif True:\n    raise Odd\n",
        "Odd: (its message cannot be printed)",
    ),
}
"""What only a load finds."""


def names_of(record) -> dict[str, list[str]]:
    """Kind to the sorted names that a plugin's record provides."""
    return {kind: sorted(names) for kind, names in record.provides.items()}
