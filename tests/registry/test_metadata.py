"""Metadata as real machines have it: every row is true, nothing is hidden, and pip can read the pins."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sea_toolkit.registry.hub import PluginHub
from sea_toolkit.registry.records import CORE
from tests.cli.commands import invoke
from tests.registry.hub_sources import energy, names_of


@pytest.fixture
def site(tmp_path) -> Path:
    """Where `install` puts distributions."""
    return tmp_path / "site"


def rows(load: bool = False):
    """The records of third-party plugins, as a list without a load or after one shows them."""
    hub = PluginHub.discover()
    hub.verify() if load else hub.inspect()
    return [record for record in hub.records if record.distribution != CORE]


def record_own(info: Path, *files: Path) -> None:
    """Write a RECORD with the hashes of these files."""
    digests = [base64.urlsafe_b64encode(hashlib.sha256(f.read_bytes()).digest()).rstrip(b"=").decode() for f in files]
    lines = [f"{file.name},sha256={digest},1\n" for file, digest in zip(files, digests, strict=True)]
    (info / "RECORD").write_text("".join([*lines, f"{info.name}/METADATA,,\n"]))


def pins() -> list[str]:
    result = invoke("list-plugins", "--requirements")
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_distributions_without_a_name_or_version_are_all_listed_and_pins_stay_readable(install, site, tmp_path):
    for name in ("sea-a", "sea-b", "sea-c", "sea-d", "sea-e", "sea-f"):
        install(name, energy(name))
    texts = {
        "sea_a": "Metadata-Version: 2.1\nVersion: 1.0\n",
        "sea_b": "Metadata-Version: 2.1\n",
        "sea_c": "Metadata-Version: 2.1\nName: sea-c\n",
        "sea_d": "Metadata-Version: 2.1\nName: sea d!\nVersion: 1.0\n",
        "sea_e": "Metadata-Version: 2.1\nName: sea-e\nVersion: one.two beta\n",
    }
    for module, text in texts.items():
        (site / f"{module}-1.0.dist-info" / "METADATA").write_text(text)
    (site / "sea_f-1.0.dist-info" / "METADATA").unlink()
    for load in (False, True):
        listed = {record.distribution: record for record in rows(load)}
        assert [*listed] == ["sea d!", "sea-a", "sea-b", "sea-c", "sea-e", "sea-f"]
        for name in ("sea-a", "sea-b", "sea-f"):
            assert any("states no name" in w and f"{site}" in w for w in listed[name].warnings)
            assert listed[name].version == "1.0"
        assert any("states no version" in warning for warning in listed["sea-c"].warnings)
    lines = pins()
    assert lines[-1].startswith("sea-e  # ")
    assert [line for line in lines if line.startswith("sea-c")] == [lines[-2]]
    file = tmp_path / "requirements.txt"
    file.write_text("\n".join(lines))
    parse = (
        "import sys\nfrom pip._internal.req.req_file import parse_requirements\n"
        "from pip._internal.req.constructors import install_req_from_parsed_requirement as made\n"
        "from pip._internal.network.session import PipSession\n"
        "print([str(made(r).req) for r in parse_requirements(sys.argv[1], session=PipSession())])"
    )
    done = subprocess.run([sys.executable, "-c", parse, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"['{CORE}=={PluginHub.discover().records[0].version}', 'sea-c', 'sea-e']"


def test_foreign_bytes_hide_nothing(install, site):
    install("sea-fine", energy("fine"))
    install("sea-accent", energy("accent"))
    install("other", "", points={"x": "other"})
    (site / "other-1.0.dist-info" / "entry_points.txt").write_bytes(
        "[console_scripts]\ncafé = other:f\n".encode("latin-1")
    )
    info = site / "sea_accent-1.0.dist-info"
    info.joinpath("METADATA").write_bytes("Name: sea-accent\nVersion: 1.0\nAuthor: Zoé\n".encode("latin-1"))
    points = "[console_scripts]\ncafé = other:f\n[sea_toolkit]\naccent = sea_accent\n"
    info.joinpath("entry_points.txt").write_bytes(points.encode("latin-1"))
    assert [(r.name, r.version, r.status) for r in rows(load=True)] == [
        ("accent", "1.0", "ok"),
        ("sea_fine", "1.0", "ok"),
    ]


@pytest.mark.parametrize("same_module", [False, True])
def test_of_two_copies_in_one_folder_the_healthy_one_counts_and_both_are_named(install, site, same_module):
    file = install("sea-old", energy("new"), version="2.0", points={"old": "sea_old" if same_module else "sea_new"})
    module = file if same_module else file.rename(file.with_name("sea_new.py"))
    record_own(site / "sea_old-2.0.dist-info", module)
    install("sea-old", None, version="10.0", points={"old": "sea_old"})
    (site / "sea_old-10.0.dist-info" / "RECORD").write_text(
        "sea_old.py,sha256=AAAA,1\nsea_old-10.0.dist-info/METADATA,,\n"
    )
    for load in (False, True):
        (record,) = rows(load)
        assert (record.version, names_of(record)) == ("2.0", {"energy": ["new"]})
        assert not record.failed
        (warning,) = record.warnings
        assert f"version 10.0, lies in {site / 'sea_old-10.0.dist-info'}" in warning
        assert f"version 2.0 in {site / 'sea_old-2.0.dist-info'}" in warning
    assert pins()[-1] == "sea-old==2.0"


def test_a_stale_copy_earlier_on_the_path_does_not_hide_a_healthy_one(install, tmp_path, monkeypatch):
    install("sea-two", energy("two"), version="2.0")
    stale = tmp_path / "checkout"
    install("sea-two", None, version="0.9", points={"two": "sea_gone"}, folder=stale)
    monkeypatch.syspath_prepend(str(stale))
    (record,) = rows(load=True)
    assert (record.version, record.status) == ("2.0", "ok")
    assert f"{stale}" in record.warnings[0]


@pytest.mark.parametrize("owner", ["sea-alpha", "sea-beta"])
def test_of_two_owners_of_one_file_the_record_decides(install, site, owner):
    sources = {"sea-alpha": energy("alpha"), "sea-beta": energy("beta")}
    for name, source in sources.items():
        file = install(name, source, points={name.removeprefix("sea-"): "plugin"})
        file = Path(shutil.move(file, site / "plugin.py"))
        record_own(site / f"{name.replace('-', '_')}-1.0.dist-info", file)
    (site / "plugin.py").write_text(sources[owner])
    (stranger,) = sources.keys() - {owner}
    for load in (False, True):
        listed = {record.distribution: record for record in rows(load)}
        assert names_of(listed[owner]) == {"energy": [owner.removeprefix("sea-")]}
        assert not listed[owner].failed
        assert (listed[stranger].status, listed[stranger].provides) == ("broken", {})
        assert f"{site / 'plugin.py'}, which is the file of {owner} 1.0" in listed[stranger].error
        assert "by the hash in its RECORD" in listed[stranger].error


def test_two_entry_points_to_one_object_and_two_objects_in_one_module(install):
    method = (
        "    @sea.hookimpl\n    def sea_register_energies(self, register):\n        register('t', target='a.b:c')\n"
    )
    source = energy("one", head="class Two:\n" + method) + "\ntwo = Two()\n"
    install("sea-both", source, points={"a": "sea_both", "b": "sea_both", "c": "sea_both:two"})
    for load in (False, True):
        first, second, third = rows(load)
        assert names_of(first) == {"energy": ["one"]}
        assert second.status == "broken"
        assert "leads to the same object as entry point 'a'" in second.error
        assert names_of(third) == {"energy": ["t"]}


def test_metadata_that_cannot_be_read_at_all_hides_no_other(install, site, tmp_path, monkeypatch):
    install("sea-fine", energy("fine"))
    for place, content in enumerate((None, b"", b"\x00\xff[sea_toolkit", b"[sea_toolkit]\n", b"sea_toolkit = x")):
        info = site / f"odd_{place}-1.dist-info"
        info.mkdir()
        if content is None:
            (info / "entry_points.txt").mkdir()
        else:
            (info / "entry_points.txt").write_bytes(content)
    egg = site / "sea_egg.egg-info"
    egg.mkdir()
    (egg / "entry_points.txt").write_text("[other]\nx = y\n\n[sea_toolkit]\n; a comment\negg = sea_egg [extra]\n")
    (egg / "PKG-INFO").write_text("Name: Sea_Egg\nVersion: 3.0\n")
    (site / "sea_egg.py").write_text(energy("egg"))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("sea_zip.py", energy("zipped"))
        archive.writestr("sea_zip-4.0.dist-info/METADATA", "Name: sea-zip\nVersion: 4.0\n")
        archive.writestr("sea_zip-4.0.dist-info/entry_points.txt", "[sea_toolkit]\nzipped = sea_zip\n")
    monkeypatch.syspath_prepend(str(tmp_path / "all.zip"))
    for load in (False, True):
        assert [(r.distribution, r.version, names_of(r), r.warnings) for r in rows(load)] == [
            ("sea-egg", "3.0", {"energy": ["egg"]}, []),
            ("sea-fine", "1.0", {"energy": ["fine"]}, []),
            ("sea-zip", "4.0", {"energy": ["zipped"]}, []),
        ]
