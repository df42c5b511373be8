"""Run notebooks from scratch, each in a fresh kernel, several at a time.

`run_all` is what `make book` and `make execute` share. As a program (`python -m tools.notebooks
[PATH ...]`) it runs notebooks in place, for authors: outputs written back, counts from 1, and
nothing left in the file that would change on the next run.
"""

import asyncio
import copy
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import yaml
from jupyter_client.kernelspec import NATIVE_KERNEL_NAME
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from jepabook._support.command import Parser
from tools import measured, surroundings
from tools.surroundings import ROOT

CELL_TIMEOUT = 900  # seconds
POLL = 0.1  # seconds between two looks at a kernel's memory
INTERRUPTED = 130  # exit status after Ctrl-C, as shells count it
MEMORY_LIMIT = 1024  # MB a notebook may take, so that it runs on a laptop and in Binder

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {"name": "python", "pygments_lexer": "ipython3"}
# what front ends write into a cell about one session; the rest (tags, mystnb) is the author's
VOLATILE_CELL_METADATA = ("ExecuteTime", "collapsed", "execution", "jupyter", "scrolled", "trusted")

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class NotebookFailed(Exception):
    """A cell raised, hung or took its kernel down; the message says which."""


@dataclass(frozen=True)
class Run:
    """What one execution of one notebook gave: the notebook, or why there is none."""

    path: Path
    seconds: float
    peak_mb: float
    notebook: nbformat.NotebookNode | None = None
    failure: str = ""


def toc_entries(root=ROOT):
    """The pages that `_toc.yml` lists, in reading order, without their file endings."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    pages = [page["file"] for own in chapters for page in (own, *own.get("sections", ()))]
    return [toc["root"], *pages]


def in_toc(root=ROOT):
    """The notebooks among them."""
    paths = [root / f"{page}.ipynb" for page in toc_entries(root) if page.startswith("notebooks/")]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise FileNotFoundError(f"_toc.yml lists notebooks that do not exist: {', '.join(missing)}")
    return paths


def read(path):
    """One notebook, as nbformat 4."""
    return nbformat.read(path, as_version=4)


def write(notebook, path):
    """Write a notebook; a file that would not change is left alone."""
    text = nbformat.writes(notebook) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8", newline="\n")


def strip_volatile(notebook):
    """Drop, in place, all that one run leaves behind and the next would change."""
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO}
    )
    for cell in notebook.cells:
        for key in VOLATILE_CELL_METADATA:
            cell.metadata.pop(key, None)
    return notebook


def forget_outputs(notebook):
    """Clear, in place, every output and execution count."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def _has_image(cell):
    kinds = {kind for output in cell.get("outputs", ()) for kind in output.get("data", {})}
    return any(kind.startswith("image/") for kind in kinds)


def lost_figures(name, before, after):
    """What a run drew less than is promised, in one sentence; nothing if all is there.

    A cell whose metadata has a caption promises an image, and so does a notebook that had one.
    """
    promised = [
        i for i, cell in enumerate(after.cells) if "figure" in cell.metadata.get("mystnb", {})
    ]
    lost = [str(i) for i in promised if not _has_image(after.cells[i])]
    if lost:
        return f"{name}: no image from the cells with a figure's caption, {', '.join(lost)}"
    if any(map(_has_image, before.cells)) and not any(map(_has_image, after.cells)):
        return f"{name}: drew nothing, but had images: clear its outputs if that is meant"
    return ""


async def _watch_memory(pid, peak):
    """Keep in `peak[0]` the most memory, in MB, that a kernel and its children held together."""
    with suppress(psutil.Error):
        kernel = psutil.Process(pid)
        while True:
            total = kernel.memory_info().rss
            for child in kernel.children(recursive=True):
                with suppress(psutil.Error):
                    # what is its own: a child that was just forked shares all pages of the kernel
                    total += child.memory_full_info().uss
            peak[0] = max(peak[0], total / 2**20)
            await asyncio.sleep(POLL)


def _describe(name, index, error, counts):
    """One paragraph that names the notebook, the cell and the error, then the traceback."""
    where = f"{name}, cell {index} (code cell [{counts}])"
    if isinstance(error, CellExecutionError):
        trace = ANSI.sub("", error.traceback).strip()
        return f"{where}: {error.ename}: {error.evalue}\n{trace}"
    if isinstance(error, CellTimeoutError):
        return f"{where}: ran longer than {CELL_TIMEOUT} s"
    return f"{where}: the kernel died ({error})"


async def _run(path, cwd, env):
    """Run one notebook from scratch in a kernel of its own."""
    before = read(path)
    notebook = forget_outputs(copy.deepcopy(before))
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        kernel_name=NATIVE_KERNEL_NAME,
        resources={"metadata": {"path": str(cwd)}},
        coalesce_streams=True,
        record_timing=False,
        shutdown_kernel="immediate",
        extra_arguments=["--log-level=ERROR"],  # a kernel warns of its transport at every start
    )
    start, peak, count = time.perf_counter(), [0.0], 0
    failure = ""
    async with client.async_setup_kernel(env=env, cwd=str(cwd)):
        watch = asyncio.create_task(_watch_memory(client.km.provisioner.pid, peak))
        try:
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type != "code" or not cell.source.strip():
                    continue
                count += 1
                try:
                    await client.async_execute_cell(cell, index, execution_count=count)
                except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                    failure = _describe(path.name, index, error, count)
                    break
        finally:
            watch.cancel()
            with suppress(asyncio.CancelledError):
                await watch
    failure = failure or lost_figures(path.name, before, notebook)
    if not failure and peak[0] > MEMORY_LIMIT:
        failure = f"{path.name}: took {peak[0]:.0f} MB of memory, at most {MEMORY_LIMIT} allowed"
    seconds = time.perf_counter() - start
    return Run(path, seconds, peak[0], None if failure else strip_volatile(notebook), failure)


async def _run_many(paths, jobs):
    gate = asyncio.Semaphore(jobs)
    width = max(len(path.name) for path in paths)
    env = surroundings.clean(os.environ)

    async def one(path):
        async with gate:
            run = await _run(path, path.parent, env)
        verdict = "FAILED" if run.failure else "ok"
        print(
            f"  {path.name:{width}}  {run.seconds:6.1f} s  {run.peak_mb:6.0f} MB  {verdict}",
            flush=True,
        )
        return run

    return await asyncio.gather(*map(one, paths))


def find_fonts():
    """Have matplotlib look for fonts now: where that takes it long, a kernel's output says so."""
    if not any(Path(surroundings.OWN["MPLCONFIGDIR"]).glob("fontlist-*.json")):
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        env = surroundings.clean(os.environ)
        subprocess.run(command, env=env, check=True, stderr=subprocess.DEVNULL)


def refuse_active(notebooks):
    """Stop where a notebook holds what may act in a page.

    Raises
    ------
    NotebookFailed
        With the names of all such notebooks and what was found.
    """
    # here, for Binder runs notebooks, but has no parsers of Markdown
    from tools import passive

    found = [
        f"{path.name}: {told}"
        for path, notebook in notebooks.items()
        for told in passive.notebook(notebook)
    ]
    if found:
        raise NotebookFailed("\n".join(found))


def run_all(paths, jobs):
    """Run notebooks, `jobs` at a time, a progress line each; raise `NotebookFailed` if any failed.

    The kernels work in the notebooks' own folder, as they do in JupyterLab. Nothing is written.
    """
    find_fonts()
    print(f"running {len(paths)} notebooks, {jobs} at a time: name, time, peak memory", flush=True)
    begun = []

    async def all_of_them():
        begun[:] = [(asyncio.get_running_loop(), asyncio.current_task())]
        return await _run_many(paths, jobs)

    # in a thread of its own, because the caller's may have an event loop (a browser test's, say)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(asyncio.run, all_of_them())
        try:
            runs = future.result()
        except KeyboardInterrupt:  # which that thread does not hear of: its kernels are ended first
            for loop, task in begun:
                loop.call_soon_threadsafe(task.cancel)
            raise
    failures = [run.failure for run in runs if run.failure]
    if failures:
        raise NotebookFailed("\n\n".join(failures))
    return runs


def main():
    parser = Parser(
        "python -m tools.notebooks", description="Run notebooks in place, from scratch."
    )
    parser.add_argument("paths", nargs="*", type=Path, help="default: all that _toc.yml lists")
    parser.add_argument("--jobs", type=surroundings.jobs, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    try:
        paths = [path.resolve(strict=True) for path in arguments.paths] or in_toc()
        runs = run_all(paths, arguments.jobs)
        refuse_active({run.path: run.notebook for run in runs})
        for run in runs:
            write(run.notebook, run.path)
        measured.note_runs(ROOT, runs, arguments.jobs)
    except (NotebookFailed, FileNotFoundError) as error:
        print(f"\nnothing was written:\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted: what was not written yet is not written", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
