"""The command line in this process."""

from __future__ import annotations

from click.testing import CliRunner, Result

from sea_toolkit.cli import main


def command(*words: object) -> Result:
    """Run `sea-toolkit WORDS`; whatever comes of it, nobody sees a traceback."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert "Traceback" not in result.output
    return result
