"""Running notebooks: what a good run leaves in the file, and what a bad one says."""

import signal
import subprocess
import sys
import time

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tools import notebooks
from tools.surroundings import ROOT


def saved(folder, name, *sources):
    """A notebook of code cells after a title, as a front end would have left it."""
    cells = [new_markdown_cell("# Title")]
    for source in sources:
        cell = new_code_cell(source, execution_count=7)
        cell.metadata = nbformat.from_dict({"tags": ["kept"], "execution": {"iopub": "now"}})
        cells.append(cell)
    metadata = {"kernelspec": {"name": "mine", "display_name": "Mine"}, "toc": {}}
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=metadata), path)
    return path


def test_a_run_is_clean_and_runs_the_same_again(tmp_path, capsys):
    path = saved(tmp_path, "a b", "x = 1; print('one')\nprint('two')", "x + 1")
    before = path.read_bytes()
    (run,) = notebooks.run_all([path], jobs=1)
    assert path.read_bytes() == before
    assert run.peak_mb > 10 and run.seconds > 0
    assert "a b.ipynb" in capsys.readouterr().out

    notebooks.write(run.notebook, path)
    code = [cell for cell in notebooks.read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2]
    assert code[0].outputs[0].text == "one\ntwo\n"
    assert all(cell.metadata == {"tags": ["kept"]} for cell in code)
    assert notebooks.read(path).metadata.kernelspec.name == "python3"

    first = path.read_bytes()
    notebooks.write(notebooks.run_all([path], jobs=1)[0].notebook, path)
    assert path.read_bytes() == first


def test_fonts_are_found_before_a_kernel_starts(tmp_path, monkeypatch):
    """Else a kernel writes into its output that it looks for them, where that takes it long."""
    monkeypatch.setitem(notebooks.surroundings.OWN, "MPLCONFIGDIR", str(tmp_path))
    look = "import matplotlib, pathlib\nfolder = pathlib.Path(matplotlib.get_configdir())"
    path = saved(tmp_path, "a", f"{look}\nprint(len([*folder.glob('fontlist-*')]))")
    (run,) = notebooks.run_all([path], jobs=1)
    assert run.notebook.cells[1].outputs[0].text == "1\n"


def test_failures_name_notebook_cell_and_error(tmp_path):
    good = saved(tmp_path, "good", "1")
    bad = saved(tmp_path, "bad", "y = 0", "1 / y")
    dead = saved(tmp_path, "dead", "import os; os._exit(3)")
    blank = saved(tmp_path, "blank", "1", "2")
    notebook = notebooks.read(blank)
    notebook.cells[2].metadata["mystnb"] = {"figure": {"caption": "A line."}}
    notebooks.write(notebook, blank)
    with pytest.raises(notebooks.NotebookFailed) as raised:
        notebooks.run_all([good, bad, dead, blank], jobs=2)
    said = str(raised.value)
    assert "bad.ipynb, cell 2 (code cell [2]): ZeroDivisionError: division by zero" in said
    assert "dead.ipynb, cell 1 (code cell [1]): the kernel died" in said
    assert "blank.ipynb: no image from the cells with a figure's caption, 2" in said
    assert "good.ipynb" not in said


def test_a_notebook_that_had_images_and_draws_none_is_told():
    image = new_output("display_data", {"image/png": "AAAA"})
    drawn = new_notebook(cells=[new_code_cell("draw()", outputs=[image])])
    empty = new_notebook(cells=[new_code_cell("draw()")])
    assert "drew nothing" in notebooks.lost_figures("a.ipynb", drawn, empty)
    assert not notebooks.lost_figures("a.ipynb", drawn, drawn)
    assert not notebooks.lost_figures("a.ipynb", empty, empty)


def test_kernels_hear_nothing_of_the_environment(tmp_path, monkeypatch):
    left = {"MPLBACKEND": "Agg", "PYTHONOPTIMIZE": "1", "COLUMNS": "20", "TZ": "Asia/Tokyo"}
    for name, value in left.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "matplotlibrc").write_text("figure.dpi: 7\n", encoding="utf-8")
    path = saved(
        tmp_path,
        "a",
        "from jepabook.figures import STYLE, plt, use_style\n"
        "use_style(); plt.plot([1]); plt.show()",
        "import os; print(__debug__, os.environ['COLUMNS'], os.environ['TZ'])\n"
        "assert plt.rcParams['figure.dpi'] == STYLE['figure.dpi']",
    )
    (run,) = notebooks.run_all([path], jobs=1)
    drawn, said = (cell.outputs for cell in run.notebook.cells if cell.cell_type == "code")
    assert "image/png" in drawn[0].data and said[0].text == "True 80 UTC\n"


INTERRUPTIBLE = """
import signal, sys
from tools import notebooks
from tools.surroundings import ROOT
signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs begin without it
sys.exit(notebooks.main())
"""


def test_an_interruption_ends_the_kernels_and_writes_nothing(tmp_path):
    path = saved(tmp_path, "slow", "open('begun', 'w').close(); import time; time.sleep(600)")
    before = path.read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, path], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (tmp_path / "begun").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130 and "interrupted" in said and "Traceback" not in said
    assert path.read_bytes() == before


def test_too_much_memory_is_a_failure(tmp_path, monkeypatch):
    path = saved(tmp_path, "big", "import time; time.sleep(0.3)")
    monkeypatch.setattr(notebooks, "MEMORY_LIMIT", 5)
    with pytest.raises(notebooks.NotebookFailed, match=r"big.ipynb: took \d+ MB .* at most 5 "):
        notebooks.run_all([path], jobs=1)
