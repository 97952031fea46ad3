"""A worker in a process of its own: `python -m sea_toolkit.work.process`, the job on the first line of its input.

It takes whatever piece of work is free, and tells each that it has settled on a line of its output. The end of its
input is the wish that it ends: so it does not outlive the process that has started it.
"""

from __future__ import annotations

import _thread
import json
import os
import signal
import sys
import threading
from typing import Any

from sea_toolkit.errors import SeaError
from sea_toolkit.work.job import Job
from sea_toolkit.work.worker import told


def main() -> int:
    """Work until no piece is free; the exit code."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what plugins and libraries print is no message

    def tell(**message: Any) -> None:
        print(json.dumps(message), file=output, flush=True)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may have been ignored by who started us
    job = Job.from_json(sys.stdin.readline())
    threading.Thread(target=_end_with_the_input, daemon=True).start()
    try:
        worker = job.worker()
        worker.load()
        tell(ready=True)
        worker.work(job.left(), lambda piece: tell(settled=piece))
    except KeyboardInterrupt:
        return 130
    except SeaError as error:
        tell(**told(error))
        return error.exit_code
    return 0


def _end_with_the_input() -> None:
    sys.stdin.read()
    _thread.interrupt_main()


if __name__ == "__main__":
    sys.exit(main())
