"""Broken models."""

from __future__ import annotations

import os
import pickle
import socket
from pathlib import Path

from sea_toolkit.errors import ModelError
from sea_toolkit.models.named import NamedModel
from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("model", MUTANTS)


class Healthy(NamedModel):
    """A model in a cache folder; what is broken is overridden."""

    role, license, megabytes, policy = "reward", "MIT", 0.1, None

    @property
    def file(self):
        return Path(os.environ["SEA_CACHE"]) / "model.safetensors"

    def find(self):
        return self.file if self.file.exists() else None

    def pull(self, progress):
        progress(0, 1, "copying")
        self.file.write_bytes(b"weights")
        return self.file

    def remove(self):
        existed = self.file.exists()
        self.file.unlink(missing_ok=True)
        return existed


@mutant("builds")
class WantsAFolder(Healthy):
    """Its constructor wants an argument."""

    def __init__(self, place: str):
        self.place = place


@mutant("builds")
class Underived:
    """States everything, and derives from nothing."""

    role, license, megabytes, policy = "reward", "MIT", 0.1, None

    def find(self):
        return None

    def pull(self, progress):
        raise ModelError("it is nowhere", hint="look elsewhere")

    def remove(self):
        return False


@mutant("statements")
class Unlicensed(Healthy):
    """States no license."""

    @property
    def license(self):
        return ""


@mutant("statements")
class Teacher(Healthy):
    """Has a role that there is not."""

    @property
    def role(self):
        return "teacher"


@mutant("find")
class Hopeful(Healthy):
    """Finds what is not there."""

    def find(self):
        return self.file


@mutant("no network")
class AsksAround(Healthy):
    """Asks the network where it is."""

    def find(self):
        try:
            socket.create_connection(("example.org", 443), timeout=1)
        except OSError:
            return super().find()


@mutant("offline")
class Traceback(Healthy):
    """Fails with the error of the network library."""

    def pull(self, progress):
        socket.create_connection(("example.org", 443), timeout=1)


@mutant("offline")
class Speechless(Healthy):
    """Does not say what to try."""

    def pull(self, progress):
        raise ModelError("no network")


@mutant("offline")
class HalfMade(Healthy):
    """Leaves half a download where find looks."""

    def pull(self, progress):
        self.file.write_bytes(b"half")
        raise ModelError("the connection broke", hint="try again")


@mutant("progress")
class Percent(Healthy):
    """Reports a share instead of two counts."""

    def pull(self, progress):
        path = super().pull(lambda *report: None)
        progress(0.5, 1.0, "copying")
        return path


@mutant("pull")
class Elsewhere(Healthy):
    """Pulls to another place than it looks in."""

    def pull(self, progress):
        other = self.file.with_name("other.safetensors")
        other.write_bytes(b"weights")
        return other


@mutant("files")
class Pickled(Healthy):
    """Brings a pickle."""

    @property
    def file(self):
        return Path(os.environ["SEA_CACHE"]) / "model.pt"

    def pull(self, progress):
        self.file.write_bytes(pickle.dumps([1.0]))
        return self.file


@mutant("remove")
class Clingy(Healthy):
    """Says that it has removed what is still there."""

    def remove(self):
        return True
