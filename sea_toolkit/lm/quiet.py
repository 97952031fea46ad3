"""Keep transformers and its helpers from writing to the terminal: only the command line prints."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from sea_toolkit.util.process_wide import SharedBlock


@contextmanager
def _errors_alone() -> Iterator[None]:
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


_QUIET = SharedBlock(_errors_alone)


def quiet_transformers() -> SharedBlock:
    """No log lines under ERROR, no progress bars and no warnings from transformers inside the block. Blocks may overlap
    in threads: level, bars and warnings are as they were when the last of them ends."""
    return _QUIET
