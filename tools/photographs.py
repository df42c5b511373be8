"""The photographs of Figure 7's folds, taken out of Debian's packages: `make photographs`.

`results/photographs.csv` lists them, with author, licence and checksum. None is in the repository,
and neither book nor tests need them. On Debian and its kin apt fetches the packages, which needs no
root; elsewhere they are downloaded by hand and their folder is given.
"""

import csv
import hashlib
import io
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from jepabook._support import files
from jepabook._support.command import Parser, status

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "results" / "photographs.csv"
OUT = ROOT / "_build" / "photographs"
PAGES = "https://packages.debian.org/bookworm/"
MAGIC, HEADER = b"!<arch>\n", 60  # of an ar archive, and of each of its members


def listed():
    """The table's rows, dicts of name, package, path, author, licence, sha256, by name."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def data_of(package):
    """The files' archive in a Debian package, a TarFile.

    Parameters
    ----------
    package : path
        Ends in ``.deb``.

    Raises
    ------
    ValueError
        If there is none, or it is packed otherwise than by xz.
    """
    content = files.read(package)
    place = len(MAGIC) if content.startswith(MAGIC) else len(content)
    while place + HEADER <= len(content):
        name = content[place : place + 16].decode("ascii", "replace").strip().rstrip("/")
        digits = content[place + 48 : place + 58].strip()
        if not digits.isdigit():
            break
        start, size = place + HEADER, int(digits)
        if name == "data.tar.xz":
            packed = io.BytesIO(content[start : start + size])
            return tarfile.open(fileobj=lzma.open(packed))
        place = start + size + size % 2
    raise ValueError(f"{package} must be a Debian package with data.tar.xz in it")


def take(packages, rows, out):
    """Write each photograph whose checksum is that of the table; the names of those missing.

    Parameters
    ----------
    packages : dict of str to path
        The packages by name.
    rows : list of dict
        Of `listed`.
    out : path
        The folder that they are written to, each under its name.
    """
    missing = []
    Path(out).mkdir(parents=True, exist_ok=True)
    for package in sorted({row["package"] for row in rows}):
        wanted = {row["path"]: row for row in rows if row["package"] == package}
        if package in packages:
            with data_of(packages[package]) as archive:
                for member in archive:
                    row = wanted.get(member.name.removeprefix("./"))
                    content = archive.extractfile(member).read() if row and member.isreg() else b""
                    if row and hashlib.sha256(content).hexdigest() == row["sha256"]:
                        files.write(Path(out) / f"{row['name']}.jpg", content)
                        del wanted[row["path"]]
        missing += sorted(row["name"] for row in wanted.values())
    return missing


def load(most, folder=OUT):
    """The photographs, in the order of the table.

    Parameters
    ----------
    most : int
        Pixels along the shorter side at most; larger ones are shrunk.
    folder : path
        Where `make photographs` wrote them.

    Returns
    -------
    dict of str to uint8 ndarray (height, width, 3)

    Raises
    ------
    ValueError
        With the file, if one is missing or not the one that is listed.
    """
    import numpy as np
    from PIL import Image

    found = {}
    for row in listed():
        path = Path(folder) / f"{row['name']}.jpg"
        if not path.exists():
            raise ValueError(f"{path} must be there: run make photographs first")
        if files.sha256(path) != row["sha256"]:
            raise ValueError(f"{path} must have the checksum in {TABLE.name}, got another file")
        with Image.open(path) as image:
            image = image.convert("RGB")
        factor = min(1.0, most / min(image.size))
        sides = tuple(round(side * factor) for side in image.size)
        found[row["name"]] = np.asarray(image.resize(sides, Image.Resampling.BICUBIC))
    return found


def fetched(names, folder):
    """Let apt fetch packages into a folder."""
    if shutil.which("apt-get") is None:
        raise ValueError(
            "--debs must be a folder of the packages where there is no apt-get: download "
            + ", ".join(PAGES + name for name in names)
        )
    run = subprocess.run(
        ["apt-get", "download", *names], cwd=folder, capture_output=True, text=True, check=False
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or ["no reason"])[-1]
        raise ValueError(f"apt-get must fetch {', '.join(names)}, got: {last}")


def _work(options):
    rows = listed()
    names = sorted({row["package"] for row in rows})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(options.debs or scratch)
        if options.debs is None:
            fetched(names, folder)
        elif not folder.is_dir():
            raise ValueError(f"--debs must be a folder, got {options.debs!r}")
        packages = {path.name.partition("_")[0]: path for path in sorted(folder.glob("*.deb"))}
        missing = take(packages, rows, options.out)
    if missing:
        raise ValueError(f"the packages must hold all photographs as listed, got none of {missing}")
    print(f"{len(rows)} photographs in {options.out}")


def main(argv=None):
    """Run the command; returns the exit status, 2 for bad input."""
    parser = Parser("python -m tools.photographs", description=__doc__)
    parser.add_argument("--debs", help="a folder of the Debian packages, instead of apt")
    parser.add_argument("--out", default=str(OUT), help="where to write them (_build/photographs)")
    return status(parser, _work, argv)


if __name__ == "__main__":
    sys.exit(main())
