"""Show a run of `align` and `resume` as it goes on, and what it found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sea_toolkit.cli.interrupt import exit_code
from sea_toolkit.cli.output import say, say_error, say_json
from sea_toolkit.errors import SeaError


def show(
    start: Callable[[Any, Any], Any],
    as_json: bool,
    out: Path | None,
    first: str,
    again: str | None,
    files: Sequence[Callable[[list[Any]], Any]] = (),
    explain: bool = False,
) -> None:
    """Run with what goes on on stderr, and print the results; those of a run that ended early too.

    Args:
        start: imports what a run needs, and runs.
        as_json: print JSON alone.
        out: the run's folder.
        first: what is shown at once.
        again: what to type to go on with one that ended early.
        files: each writes a file of the results.
        explain: tell why each answer won.

    Raises:
        SeaError: the run failed, or a file cannot be written; what there is, is printed first.
    """
    from sea_toolkit.cli.render import live
    from sea_toolkit.cli.results import print_results, with_explanation

    ended: KeyboardInterrupt | SeaError | None = None
    with live(first) as shown:
        from sea_toolkit.runs.result import Interrupted, plain

        try:
            results = start(shown.on_event, shown.progress)
        except (Interrupted, SeaError) as error:
            if not error.results:
                raise
            results, ended = error.results, error
    if as_json:
        for result in results:
            say_json(json.dumps(plain(with_explanation(result)), ensure_ascii=False) if explain else result.to_json())
    else:
        print_results(results, out, explain)
    if ended is not None:
        word = "failed" if isinstance(ended, SeaError) else "interrupted"
        where = f"; go on with: {again}" if again else ""
        say(f"{word}: this is the best so far{where}", err=True)
    for write in files:
        try:
            write(results)
        except SeaError as error:
            if ended is None:
                raise
            say_error(str(error))
    if isinstance(ended, SeaError):
        raise ended
    if ended is not None:
        sys.exit(exit_code())
