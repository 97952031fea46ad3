"""Event files: one folder for each run, written by TensorBoard's own writer; no TensorFlow."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event as Record
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.summary.writer.event_file_writer import EventFileWriter

import sea_toolkit as sea


def folder_for(root: Path) -> Path:
    """A folder of its own for a run that begins now."""
    base = time.strftime("%Y%m%d-%H%M%S")
    for i in count():
        folder = root / (f"{base}-{os.getpid()}" + (f"-{i}" if i else ""))
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError


class Log:
    """The event file of one run.

    Args:
        folder: where it goes; made if needed.
    """

    def __init__(self, folder: Path) -> None:
        self.writer = EventFileWriter(str(folder))
        self.texts: dict[str, str] = {}

    def event(self, event: sea.Event) -> None:
        """Write what an event of the run loop says."""
        values = {f"prompt {p + 1}/lowest energy": e for p, e in enumerate(event.energy)}
        for name, metric in event.metrics.items():
            values |= {f"prompt {p + 1}/{name}": _mean(row) for p, row in enumerate(metric)}
        self.write(event.step, values | {"samples": event.samples})
        for p, text in enumerate(event.texts):
            self.text(event.step, f"prompt {p + 1}/answer", text)
        self.writer.flush()

    def write(self, step: int, values: dict[str, float]) -> None:
        """Numbers of one step; those that are not finite are left out."""
        finite = [Summary.Value(tag=t, simple_value=v) for t, v in values.items() if math.isfinite(v)]
        self._add(step, Summary(value=finite))

    def text(self, step: int, tag: str, text: str) -> None:
        """A text, if it is not the last one under this tag."""
        if self.texts.get(tag) == text:
            return
        self.texts[tag] = text
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        tensor = TensorProto(dtype=DT_STRING, string_val=[text.encode()])
        self._add(step, Summary(value=[Summary.Value(tag=tag, metadata=metadata, tensor=tensor)]))

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()

    def _add(self, step: int, summary: Any) -> None:
        self.writer.add_event(Record(wall_time=time.time(), step=step, summary=summary))


def convert(run: Path, folder: Path) -> int:
    """Write the trace of a run's folder as an event file; returns the number of its lines.

    Raises:
        SeaError: the folder holds no trace, or a damaged one.
    """
    try:
        lines = [json.loads(line) for line in (run / "trace.jsonl").read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise sea.SeaError(
            f"{run} has no trace that can be read: {error}", expected="a folder of align --out"
        ) from error
    log = Log(folder)
    for line in lines:
        known = ("step", "samples", "texts", "terms", "stopped", "last", "rewrites")
        tables = {k: v for k, v in line.items() if k not in known}
        tables |= {f"term {label}": table for label, table in line.get("terms", {}).items()}
        values = {f"prompt {p + 1}/{k}": _mean(row) for k, table in tables.items() for p, row in enumerate(table)}
        log.write(max(0, line["step"]), values | {"samples": line["samples"]})
    log.close()
    return len(lines)


def _mean(row: Iterable[float | None]) -> float:
    numbers = [x for x in row if x is not None]
    return sum(numbers) / len(numbers) if numbers else math.nan
