"""What the user of a call allows it to do: run a function, ask a server. A recipe and a run's folder cannot."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from sea_toolkit.errors import RecipeError
from sea_toolkit.registry.allowed_code import refuse_unless_allowed

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Allowed:
    """The user's word, given in this very call.

    Attributes:
        code: functions, as `package.module:function` or `file.py:function`.
        network: servers, as `http://host:port` or `host:port`.
    """

    code: Collection[str] = ()
    network: Collection[str] = ()

    def refuse_others(self, code: Iterable[str], servers: Iterable[str], where: str) -> None:
        """Refuse functions that would run, and servers that prompts and answers would be sent to, unless allowed.

        Args:
            code: functions.
            servers: URLs.
            where: what asks for them, for messages.

        Raises:
            RecipeError: one is not allowed.
        """
        refuse_unless_allowed(code, self.code, where)
        known = {server_of(text) for text in self.network}
        for url in servers:
            if server_of(url) not in known:
                raise RecipeError(
                    f"{where} would send prompts and answers to {server_of(url)}, which is not allowed",
                    expected="a server that you allow by name: a recipe cannot allow any",
                    hint=f'--allow-network {server_of(url)}, or allow_network=["{server_of(url)}"] in Python',
                )


NOTHING = Allowed()


def is_url(text: str) -> bool:
    """Whether it is the address of a web server."""
    return text.lower().startswith(("http://", "https://"))


def server_of(text: str) -> str:
    """`host:port` of a URL, or of what stands for one without `http://`.

    Raises:
        RecipeError: it has another form.
    """
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port, host = parts.port, parts.hostname
    except ValueError:  # a port that is no number, an address of IPv6 that is not closed
        parts, port, host = urlsplit(""), None, None
    if parts.scheme not in _PORTS or not host:
        raise RecipeError(f"{text!r} is the address of no server", expected="http://HOST:PORT")
    return f"[{host}]:{port or _PORTS[parts.scheme]}" if ":" in host else f"{host}:{port or _PORTS[parts.scheme]}"


def checked_url(text: str) -> str:
    """A URL without a slash at its end, that holds no secret: it is written into recipes and run folders.

    Raises:
        RecipeError: it is none, or has a user's name, a password, a query or a fragment.
    """
    server_of(text)
    parts = urlsplit(text)
    if not is_url(text) or "@" in parts.netloc or parts.query or parts.fragment:
        raise RecipeError(
            f"the url of {server_of(text)} is not a plain one",
            expected="http://HOST:PORT or http://HOST:PORT/PATH, with nothing behind it",
            hint='a key goes into a header: headers = { Authorization = "Bearer $SEA_REWARD_KEY" }',
        )
    return text.rstrip("/")
