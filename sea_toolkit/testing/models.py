"""`check_model`: what a name in the catalog promises, on a machine without network and with empty caches."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sea_toolkit.errors import ModelError
from sea_toolkit.models.named import NamedModel
from sea_toolkit.models.resolve import made_model
from sea_toolkit.testing.conformance import Broken, reported, require
from sea_toolkit.testing.setting import Setting, under_test

PROPERTIES = {
    "builds": "it registers, derives from NamedModel, and is made without arguments",
    "statements": "role, license, megabytes and, for a reward, policy are stated",
    "find": "a path that exists, or None; the same each time",
    "no network": "making it, find and remove do not touch the network",
    "offline": "without a network pull gives a path, or a ModelError that says what to try, and leaves nothing behind",
    "progress": "what pull reports is progress(done, total, what), with whole numbers",
    "pull": "pull gives a path that exists, and find then gives the same one",
    "files": "a folder with a config.json, or a .safetensors file; no pickles",
    "remove": "remove says whether there was a copy; where there was one, find then gives None",
}
"""What a model promises, in the order of the documentation."""

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


@reported
def check_model(model: Any, setting: Setting | None = None, /, **options: Any) -> tuple[str, ...]:
    """Check a catalog model; nothing is downloaded, and the user's own caches and home folder are hidden.

    Where `pull` cannot succeed without a network, "pull" and "files" are left out of the result.

    Args:
        model: the class that is registered, or the name of an installed model.
        setting: `lacks` and `hub` count here.
        **options: none; a model takes no arguments.

    Returns:
        The names of the properties that hold.

    Raises:
        ConformanceError: one does not; it is named.
    """
    setting = setting or Setting()
    with offline() as attempts, under_test("model", model, PROPERTIES, setting) as (checks, _, item):
        with checks("builds"):
            item.option_model.check(options, f"model {item.name!r}")
            named = made_model(item)
        with checks("statements"):
            _statements(named)
        with checks("find"):
            first = named.find()
            for location in (first, named.find()):
                require(location is None or isinstance(location, Path), "find gives no Path", detail=repr(location))
                require(
                    location is None or location.exists(), "find gives a path that does not exist", detail=str(location)
                )
                require(location == first, "find gives another path the second time")
        with checks("no network"):
            require(not attempts, "making it or find asks the network", detail=", ".join(attempts))
        reports: list[tuple[Any, ...]] = []
        path = None
        with checks("offline"):
            path = _pull(named, reports)
        with checks("progress"):
            wrong = [r for r in reports if [type(x) for x in r] != [int, int, str]]
            require(not wrong, "pull reports something else than (done, total, what)", detail=str(wrong[:1]))
        if path is not None:
            with checks("pull"):
                require(isinstance(path, Path) and path.exists(), "pull gives no path that exists", detail=repr(path))
                require(named.find() == path, "find does not give what pull gave", detail=f"{named.find()} and {path}")
            with checks("files"):
                _files(path)
        attempts.clear()
        with checks("remove"):
            before = named.find()
            removed = named.remove()
            require(isinstance(removed, bool), "remove does not say whether there was a copy", detail=repr(removed))
            after = named.find()
            require(after is None or not removed, "after remove it is still there", detail=str(after))
            require(removed or after == before, "remove says there was no copy, and find has lost it")
            require(not (removed and named.remove()), "remove says twice that there was a copy")
        with checks("no network"):
            require(not attempts, "remove asks the network", detail=", ".join(attempts))
    return checks.result


def _statements(model: NamedModel) -> None:
    require(
        model.role in ("policy", "reward"),
        "its role is unknown",
        detail=repr(model.role),
        expected='"policy" or "reward"',
    )
    named = isinstance(model.license, str) and bool(model.license.strip())
    require(named, "it states no license", detail=repr(model.license), hint='the licence of the weights, or "unknown"')
    size = isinstance(model.megabytes, int | float) and not isinstance(model.megabytes, bool) and model.megabytes > 0
    require(size, "megabytes is no number above 0", detail=repr(model.megabytes))
    if model.role == "reward":
        require(
            isinstance(model.policy, str | None),
            "a reward does not say which policy it is for",
            expected="policy: a catalog name, or None for any",
        )


def _pull(model: Any, reports: list[tuple[Any, ...]]) -> Any:
    try:
        return model.pull(lambda *report: reports.append(report))
    except ModelError as error:
        require(
            bool(error.expected or error.hint),
            "the error of pull does not say what to try",
            detail=str(error),
            hint="ModelError(got, expected=…, hint=…)",
        )
        require(
            model.find() is None,
            "a pull that failed leaves something that find takes for the model",
            hint="download beside it and publish by a rename",
        )
        return None
    except Exception as error:
        raise Broken(
            "without a network pull fails with something else than a ModelError",
            detail=f"{type(error).__name__}: {error}",
            hint="ModelError(got, expected=…, hint=…)",
        ) from error


def _files(path: Path) -> None:
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    pickles = [p.name for p in files if p.suffix in _PICKLES]
    require(not pickles, "it holds pickles, which can run code", detail=", ".join(pickles[:3]), hint="safetensors")
    if path.is_file():
        require(path.suffix == ".safetensors", "its file is no .safetensors file", detail=path.name)
    else:
        require((path / "config.json").is_file(), "its folder has no config.json", detail=str(path))


@contextmanager
def offline() -> Iterator[list[str]]:
    """No network, for this process and what it starts; caches and the home folder are empty ones.

    Yields:
        The addresses that were asked for.
    """
    attempts: list[str] = []

    def refuse(self: Any, address: Any, *rest: Any) -> Any:
        if self.family == getattr(socket, "AF_UNIX", None):
            return plain(self, address, *rest)
        attempts.append(str(address))
        raise OSError("the network is switched off for this check")

    def refuse_name(host: Any, *rest: Any, **more: Any) -> Any:
        attempts.append(str(host))
        raise socket.gaierror("the network is switched off for this check")

    plain, plain_name = socket.socket.connect, socket.getaddrinfo
    saved = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("HOME", "USERPROFILE", "SEA_CACHE", "XDG_CACHE_HOME", "HF_HOME", "PIP_CACHE_DIR"):
            os.environ[name] = str(Path(folder) / name.lower())
            Path(os.environ[name]).mkdir()
        nowhere = "http://127.0.0.1:9"  # the port that throws everything away
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            os.environ[name] = os.environ[name.upper()] = nowhere
        os.environ |= {"no_proxy": "", "NO_PROXY": "", "HF_HUB_OFFLINE": "1"}
        os.environ |= {"PIP_NO_INDEX": "1", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
        setattr(socket.socket, "connect", refuse)  # noqa: B010  a method, to mypy
        socket.getaddrinfo = refuse_name
        try:
            yield attempts
        finally:
            setattr(socket.socket, "connect", plain)  # noqa: B010
            socket.getaddrinfo = plain_name
            os.environ.clear()
            os.environ.update(saved)
