"""The command line in this process."""

from __future__ import annotations

from collections.abc import Mapping

from click.testing import CliRunner, Result

from sea_toolkit.cli import main


def invoke(*words: object, stdin: str | None = None, environment: Mapping[str, str] | None = None) -> Result:
    """Run `sea-toolkit WORDS`; an exception that no command expects is the test's, and so nobody sees a traceback.

    Args:
        words: what follows the program's name; each becomes text.
        stdin: what standard input says.
        environment: variables to set.
    """
    return CliRunner().invoke(main, [str(word) for word in words], input=stdin, env=environment, catch_exceptions=False)
