"""The environment variables that kernels, tests, builders and browsers get: one function, `clean`.

What a machine or a cluster left in the environment must not change an output or let a check pass:
no list of names to remove is ever complete, so here are the names that stay. They say where things
are, how the network is reached, which processor computes, and where windows open; nothing else
reaches a program.

`python -I tools/surroundings.py ARGUMENTS` is `python ARGUMENTS` in this environment, which is how
the Makefile starts everything; `-I`, so that the environment outside has no say here either. With
`--desk` first, Jupyter keeps the settings of its user, for JupyterLab.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRIVATE = ROOT / "_build" / "surroundings"  # what programs keep between two runs

KEPT = frozenset(
    # where programs, libraries and files are
    "PATH HOME USER LOGNAME SHELL TMPDIR TMP TEMP LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH "
    "DYLD_FALLBACK_LIBRARY_PATH NIX_LD NIX_LD_LIBRARY_PATH XDG_CACHE_HOME XDG_CONFIG_HOME "
    "XDG_DATA_HOME FONTCONFIG_FILE FONTCONFIG_PATH "
    # the same on Windows
    "ALLUSERSPROFILE APPDATA COMSPEC HOMEDRIVE HOMEPATH LOCALAPPDATA NUMBER_OF_PROCESSORS OS "
    "PATHEXT PROCESSOR_ARCHITECTURE PROGRAMDATA PROGRAMFILES SYSTEMDRIVE SYSTEMROOT USERNAME "
    "USERPROFILE WINDIR "
    # how the network is reached; and PIP_*, UV_*
    "HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY SSL_CERT_FILE SSL_CERT_DIR "
    "REQUESTS_CA_BUNDLE CURL_CA_BUNDLE NETRC "
    # what builds packages that have no wheel
    "CC CXX CFLAGS CPPFLAGS CXXFLAGS LDFLAGS PKG_CONFIG_PATH "
    # which processor computes: every one must give the same; and QEMU_*
    "CUDA_VISIBLE_DEVICES OPENBLAS_CORETYPE MKL_CBWR ATEN_CPU_CAPABILITY NPY_DISABLE_CPU_FEATURES "
    # what the book's own commands ask for
    "CHROMIUM CI "
    # the terminal, and where windows open
    "TERM NO_COLOR DISPLAY WAYLAND_DISPLAY XAUTHORITY XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS "
    "BROWSER".split()
)
KEPT_PREFIXES = ("PIP_", "QEMU_", "UV_")
AT_THE_DESK = ("JUPYTER", "IPYTHONDIR")  # prefixes

FIXED = {
    # parallel kernels and test workers would fight for the cores
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    # text is UTF-8 whatever the locale, sets have one order, days begin everywhere together
    "LC_ALL": "C.UTF-8",
    "PYTHONUTF8": "1",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
    "COLUMNS": "80",
    # this clone's package whatever is installed, else only this Python's packages and kernels
    "PYTHONPATH": str(ROOT),
    "PYTHONNOUSERSITE": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",
    # no window where a program draws; kernels draw into their notebook all the same
    "MATPLOTLIBRC": str(ROOT / "tools" / "matplotlibrc"),
}
# no one's settings, start-up files and history; and folders that can be written
OWN = {
    "IPYTHONDIR": str(PRIVATE / "ipython"),
    "JUPYTER_CONFIG_DIR": str(PRIVATE / "jupyter" / "config"),
    "JUPYTER_DATA_DIR": str(PRIVATE / "jupyter" / "data"),
    "JUPYTER_RUNTIME_DIR": str(PRIVATE / "jupyter" / "runtime"),
    "MPLCONFIGDIR": str(PRIVATE / "matplotlib"),
}


def clean(environ, desk=False):
    """What of `environ` a program of the book gets, with what all of them get.

    Parameters
    ----------
    environ : mapping
        An environment, `os.environ` say. Cleaning it twice changes nothing.
    desk : bool
        Whether the program is JupyterLab at its user's desk, whose settings it keeps.
    """
    prefixes = KEPT_PREFIXES + (AT_THE_DESK if desk else ())
    kept = {
        name: value
        for name, value in environ.items()
        if name.upper() in KEPT or name.upper().startswith(prefixes)
    }
    # the one that Python would use: TMPDIR may name a folder that is not there
    kept |= {name: tempfile.gettempdir() for name in ("TMPDIR", "TMP", "TEMP") if name in kept}
    return kept | FIXED | ({} if desk else OWN)


def jobs(word):
    """How many programs run at a time: what a command line says, JOBS of the Makefile."""
    if not word.isascii() or not word.isdecimal() or not int(word):
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {word!r}")
    return int(word)


def main(arguments):
    desk = arguments[:1] == ["--desk"]
    command = [sys.executable, *arguments[desk:]]
    env = clean(os.environ, desk)
    if os.name == "posix":
        os.execve(sys.executable, command, env)
    return subprocess.run(command, env=env).returncode  # where exec would not be waited for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
