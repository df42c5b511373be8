"""Photographs out of Debian packages: what is taken, what is refused, and how the table is read."""

import csv
import hashlib
import io
import lzma
import tarfile

import numpy as np
import pytest
from PIL import Image

from results import folds
from tools import photographs


def package(path, contents, member="data.tar.xz"):
    """A Debian package with these files, dict of name to bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.xz": b"odd",
        member: lzma.compress(raw.getvalue()),
    }
    packed = photographs.MAGIC
    for name, content in parts.items():
        packed += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        packed += content + b"\n" * (len(content) % 2)
    path.write_bytes(packed)
    return path


def jpeg(seed, size=(30, 20)):
    pixels = np.random.default_rng(seed).integers(256, size=(*size[::-1], 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


def row(name, package, path, content):
    sha256 = hashlib.sha256(content).hexdigest()
    return {"name": name, "package": package, "path": path, "sha256": sha256}


@pytest.fixture
def table(tmp_path, monkeypatch):
    contents = {f"usr/share/{k}.jpg": jpeg(k) for k in range(3)}
    rows = [row(f"photo{k}", "walls", name, contents[name]) for k, name in enumerate(contents)]
    path = tmp_path / "table.csv"
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    monkeypatch.setattr(photographs, "TABLE", path)
    debs = tmp_path / "debs"
    debs.mkdir()
    package(debs / "walls_1.0-1_all.deb", contents | {"usr/share/extra.jpg": b"no"})
    return debs, contents


def run(debs, out):
    return photographs.main(["--debs", str(debs), "--out", str(out)])


def test_what_is_listed_is_taken_as_it_is_and_nothing_else(table, tmp_path, capsys):
    debs, contents = table
    assert run(debs, tmp_path / "out") == 0
    taken = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert taken == {f"photo{k}.jpg": content for k, content in enumerate(contents.values())}
    loaded = photographs.load(10, tmp_path / "out")
    assert list(loaded) == ["photo0", "photo1", "photo2"]
    assert all(image.shape == (10, 15, 3) for image in loaded.values())
    assert photographs.load(50, tmp_path / "out")["photo0"].shape == (20, 30, 3)


def test_another_picture_of_that_name_is_not_taken(table, tmp_path, capsys):
    debs, contents = table
    package(debs / "walls_1.0-1_all.deb", contents | {"usr/share/1.jpg": jpeg(9)})
    assert run(debs, tmp_path / "out") == 2
    assert capsys.readouterr().err.strip().endswith("got none of ['photo1']")


@pytest.mark.parametrize("content", [b"", b"no archive", photographs.MAGIC + b"short"])
def test_what_is_no_package_is_refused_in_one_line(table, tmp_path, content, capsys):
    debs, _ = table
    (debs / "walls_1.0-1_all.deb").write_bytes(content)
    assert run(debs, tmp_path / "out") == 2
    assert "must be a Debian package with data.tar.xz in it" in capsys.readouterr().err


def test_a_package_that_is_packed_otherwise_is_refused(table, tmp_path, capsys):
    debs, contents = table
    package(debs / "walls_1.0-1_all.deb", contents, "data.tar.zst")
    assert run(debs, tmp_path / "out") == 2
    assert "must be a Debian package with data.tar.xz in it" in capsys.readouterr().err


def test_a_photograph_that_is_missing_or_changed_is_named(table, tmp_path):
    debs, _ = table
    with pytest.raises(ValueError, match=r"photo0\.jpg must be there: run make photographs first"):
        photographs.load(10, tmp_path / "out")
    run(debs, tmp_path / "out")
    (tmp_path / "out" / "photo1.jpg").write_bytes(jpeg(7))
    with pytest.raises(ValueError, match=r"photo1\.jpg must have the checksum in table\.csv"):
        photographs.load(10, tmp_path / "out")


def test_without_apt_it_is_said_where_the_packages_are(table, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert photographs.main(["--out", str(tmp_path / "out")]) == 2
    assert "https://packages.debian.org/bookworm/walls" in capsys.readouterr().err


def test_every_photograph_is_listed_with_author_and_licence_and_falls_into_one_group():
    rows = photographs.listed()
    names = [row["name"] for row in rows]
    assert names == sorted(set(names)) and len(names) == 37
    for row in rows:
        assert row["author"] and row["licence"].split("-")[0] in {"CC", "CC0", "GPL", "LGPL"}
        assert len(row["sha256"]) == 64 and row["path"].endswith(".jpg")
    groups = folds.grouped(dict.fromkeys(names))
    assert sorted(name for group in groups for name in group) == names
    assert {len(group) for group in groups} == {6, 7}
