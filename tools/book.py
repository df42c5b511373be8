"""Build the static site, from notebooks run now (`book`) or from their committed outputs (`site`).

The sources are staged in `_build/source` and built from there, so the committed notebooks are only
read. A site exists in `_build/html` only after a build without one warning; `_build/site.json`
beside it says which sources it was made from.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from jepabook._support.command import Parser
from jepabook.claims import pages
from tools import measured, provenance, surroundings
from tools.notebooks import (
    ANSI,
    INTERRUPTED,
    ROOT,
    NotebookFailed,
    in_toc,
    read,
    refuse_active,
    run_all,
    write,
)

SOURCES = ("_config.yml", "_toc.yml", "CHANGELOG.md", "book", "notebooks")
LEDGER_VERSION = 1  # grows when a reader of ledger.json would have to change
LEDGER_SCHEMA = "ledger.schema.json"
# what the filters of the ledger's page ask for; a script, for a page from a file may read no JSON
LEDGER_ROWS = "_static/ledger/rows.js"
FACETS = {
    "verdict": "verdict",
    "ground": "ground",
    "kind": "kind",
    "method": "methods",
    "section": "section",
    "chapter": "chapter",
}
CACHES = {".ipynb_checkpoints", "__pycache__", ".virtual_documents"}


class BuildFailed(Exception):
    """Sphinx found an error or a warning, or a notebook holds what the site may not show."""


def source_files(root=ROOT):
    """Every file that is staged."""
    files = []
    for name in SOURCES:
        found = root / name
        files += (
            [path for path in found.rglob("*") if path.is_file()] if found.is_dir() else [found]
        )
    return sorted(path for path in files if not CACHES & set(path.relative_to(root).parts))


def fingerprint(root=ROOT):
    """A hash of the names and contents of all that the site is made from.

    The package counts: its docstrings are the reference, its claims are counted.
    """
    digest = hashlib.sha256()
    for path in [*source_files(root), *sorted((root / "jepabook").rglob("*.py"))]:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def build_of(root=ROOT):
    """What `_build/site.json` says of the site, or None where there is no site."""
    stamp = root / "_build" / "site.json"
    if not (root / "_build" / "html" / "index.html").is_file() or not stamp.is_file():
        return None
    return json.loads(stamp.read_text(encoding="utf-8"))


def clear(build):
    """Remove the last site and everything that it was made in."""
    (build / "site.json").unlink(missing_ok=True)
    for name in ("html", "source", "stage"):
        shutil.rmtree(build / name, ignore_errors=True)


def stage(root, source):
    """Copy the sources, with the outputs that are committed."""
    for path in source_files(root):
        target = source / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def build(source, stage_dir):
    """Run Sphinx strictly over the staged sources and return the folder of pages."""
    command = [
        sys.executable,
        *("-c", "import sys; from jupyter_book.cli.main import main; sys.exit(main())"),
        *("build", str(source), "--path-output", str(stage_dir)),
        *("--builder", "html", "--all", "--warningiserror", "--keep-going"),
    ]
    done = subprocess.run(
        command,
        env=surroundings.clean(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    log = ANSI.sub("", done.stdout)
    log_file = stage_dir.with_name("sphinx.log")
    log_file.write_text(log, encoding="utf-8")
    html = stage_dir / "_build" / "html"
    if done.returncode or not (html / "index.html").is_file():
        lines = log.splitlines()
        told = [line for line in lines if "WARNING" in line or "ERROR" in line] or lines[-30:]
        raise BuildFailed("\n".join([*dict.fromkeys(told), f"(the whole log: {log_file})"]))
    return html


def take_ledger_rows(source):
    """Take, off the staged ledger, the rows that its output holds for machines.

    Sphinx does not know what to do with them. None if there is no ledger.
    """
    path = source / "notebooks" / "ledger.ipynb"
    if not path.is_file():
        return None
    notebook = read(path)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if pages.JSON in output.get("data", {}):
                rows = output["data"].pop(pages.JSON)
                write(notebook, path)
                return rows
    raise BuildFailed("notebooks/ledger.ipynb holds no rows for ledger.json: run it")


def published(rows, made_from, schema):
    """The ledger as the site publishes it: version, what it was made from, rows.

    Raises
    ------
    BuildFailed
        If it is not what its schema says.
    """
    ledger = {
        "$schema": LEDGER_SCHEMA,
        "version": LEDGER_VERSION,
        "made_from": made_from,
        "rows": rows,
    }
    error = best_match(Draft202012Validator(schema).iter_errors(ledger))
    if error is not None:
        raise BuildFailed(f"ledger.json breaks its schema at {error.json_path}: {error.message}")
    return ledger


def ledger_files(source, root):
    """The ledger for machines, its schema, and what its page reads of it, by name.

    None of them if there is no ledger.
    """
    rows = take_ledger_rows(source)
    if rows is None:
        return {}
    schema = (source / "book" / "ledger" / LEDGER_SCHEMA).read_text(encoding="utf-8")
    commit = provenance.commit_of(root)
    made = {"commit": commit and asdict(commit), "versions": provenance.versions()}
    ledger = published(rows, made, json.loads(schema))
    text = json.dumps(ledger, indent=1, ensure_ascii=False) + "\n"
    facets = {
        row["ledger_link"].partition("#")[2]: [row.get(name, []) for name in FACETS.values()]
        for row in rows
    }
    script = f"const LEDGER = {json.dumps([list(FACETS), facets])};\n"
    return {"ledger.json": text, LEDGER_SCHEMA: schema, LEDGER_ROWS: script}


def make_site(root, *, execute, jobs):
    """Stage, run the notebooks if asked, build, and only then put the site in its place."""
    started = time.perf_counter()
    out = root / "_build"
    clear(out)
    made_from = fingerprint(root)
    source = out / "source"
    stage(root, source)
    if execute:
        runs = run_all(in_toc(root), jobs)
        measured.note_runs(root, runs, jobs)
        for run in runs:
            write(run.notebook, source / run.path.relative_to(root))
    refuse_active({path: read(path) for path in in_toc(source)})
    print("building the site", flush=True)
    files = ledger_files(source, root)
    built, html = build(source, out / "stage"), out / "html"
    for name, text in files.items():
        (built / name).parent.mkdir(parents=True, exist_ok=True)
        (built / name).write_text(text, encoding="utf-8")
    shutil.move(built, html)
    shutil.rmtree(out / "stage")
    about = {"sources": made_from, "outputs": "executed now" if execute else "committed"}
    (out / "site.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    seconds = time.perf_counter() - started
    measured.note(root, "book" if execute else "site", {"seconds": round(seconds), "jobs": jobs})
    print(f"done in {seconds:.0f} s; open\n  {html / 'index.html'}")
    return html


def main():
    parser = Parser("python -m tools.book", description="Build the static site into _build/html.")
    parser.add_argument("what", choices=("book", "site"), help="run the notebooks first, or not")
    parser.add_argument("--jobs", type=surroundings.jobs, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    try:
        make_site(ROOT, execute=arguments.what == "book", jobs=arguments.jobs)
    except (NotebookFailed, BuildFailed, FileNotFoundError) as error:
        print(f"\nno site was built:\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: no site was built", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
