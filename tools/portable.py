"""`make portable`: notebooks and recorded beginnings under other arithmetic, then one table.

Another processor adds in another order and rounds differently. Environment variables make the
libraries here do so, too: other kernels of OpenBLAS, MKL, PyTorch and NumPy, another number of
threads. What a library was asked for is not believed but proved: `told` has each of them compute
and say with what. What this processor or these builds do not have is named as skipped.

The outcomes are kept in `book/portable.json`, for the page on reproducibility, each until its
combination is run again.
"""

import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict, dataclass

from jepabook._support.command import Parser
from tools import measured, stages, status, surroundings
from tools.stages import Outcome
from tools.surroundings import ROOT

PARTS = {
    "recorded beginnings": ("tests/book/test_results.py",),
    "notebooks": (*stages.NBVAL, "notebooks"),
}
SKIPPED = "skipped: "
# what NumPy calls the instructions, from version 2.4 on and before
INSTRUCTIONS = {"AVX2": {"X86_V3", "AVX2"}, "AVX512": {"X86_V4", "AVX512_SKX"}}
CHOICES = {
    "openblas": "OPENBLAS_CORETYPE",
    "mkl": "MKL_CBWR",
    "torch": "ATEN_CPU_CAPABILITY",
    "numpy": "NPY_DISABLE_CPU_FEATURES",
}
ALSO = {"prescott": "katmai"}  # what OpenBLAS calls kernels that bear two names
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Combination:
    """One way to compute: what each library is asked for ("" for its own choice), and threads.

    Attributes
    ----------
    name : str
    openblas, mkl, torch : str
        OPENBLAS_CORETYPE, MKL_CBWR, ATEN_CPU_CAPABILITY.
    oldest : bool
        Whether NumPy is to do without all instructions but those that it was built for.
    threads : int
    needs : str
        The instructions without which these kernels would end in an illegal one: of
        `INSTRUCTIONS`; "x86-64" or "ARM" for any processor of the kind, "" for any at all.
    """

    name: str
    openblas: str = ""
    mkl: str = ""
    torch: str = ""
    oldest: bool = False
    threads: int = 1
    needs: str = ""


COMBINATIONS = (
    Combination("as it comes"),
    Combination("as it comes, two threads", threads=2),
    Combination("Nehalem", "Nehalem", "COMPATIBLE", "default", oldest=True, needs="x86-64"),
    Combination("Prescott", "Prescott", "", "avx2", threads=2, needs="AVX2"),
    Combination("Sandybridge", "Sandybridge", "COMPATIBLE", "avx2", oldest=True, needs="AVX2"),
    Combination("Haswell", "Haswell", "AVX2", "avx2", needs="AVX2"),
    Combination("SkylakeX", "SkylakeX", "AVX512", "avx512", needs="AVX512"),
    Combination("ARMV8", "ARMV8", "", "default", oldest=True, needs="ARM"),
)


def told():
    """What the libraries of this process compute with.

    Returns
    -------
    dict
        Lists of names under "openblas", "torch" and "numpy", NumPy's being the features beyond its
        baseline; "threads", a list of numbers; "machine". What MKL uses it prints itself.
    """
    import numpy as np
    import scipy.linalg
    import torch
    from threadpoolctl import threadpool_info

    scipy.linalg.eigh(np.eye(2))
    torch.mm(torch.ones(64, 64), torch.ones(64, 64))
    pools = threadpool_info()
    return {
        "openblas": sorted({p["architecture"] for p in pools if p["internal_api"] == "openblas"}),
        "torch": [torch.backends.cpu.get_cpu_capability()],
        "numpy": np.show_config(mode="dicts")["SIMD Extensions"].get("found", []),
        "threads": sorted({p["num_threads"] for p in pools} | {torch.get_num_threads()}),
        "machine": platform.machine(),
    }


def answer(environment):
    """What `told` says in a process with these variables, and "mkl", the modes that MKL tells.

    Raises
    ------
    RuntimeError
        If the libraries do not load or cannot compute.
    """
    env = surroundings.clean(os.environ) | environment | {"MKL_VERBOSE": "1"}
    command = [sys.executable, "-m", "tools.portable", "--tell"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise RuntimeError(f"the libraries do not compute: {said}")
    *rest, last = done.stdout.splitlines()
    return json.loads(last) | {"mkl": sorted(set(re.findall(r"\bCNR:(\S+)", "\n".join(rest))))}


def variables(combination, found):
    """The environment of a combination where NumPy by itself finds these features."""
    asked = {variable: getattr(combination, name, "") for name, variable in CHOICES.items()}
    if combination.oldest:
        asked[CHOICES["numpy"]] = " ".join(found)
    given = {variable: value for variable, value in asked.items() if value}
    return given | dict.fromkeys(THREADS, str(combination.threads))


def lacking(combination, own):
    """Why a processor whose own `answer` this is cannot compute so, or nothing."""
    needs, machine = combination.needs, own["machine"].lower()
    kind = {"amd64": "x86-64", "x86_64": "x86-64", "arm64": "ARM", "aarch64": "ARM"}.get(machine)
    if needs in ("x86-64", "ARM"):
        return "" if kind == needs else f"the processor is no {needs}"
    if needs and not INSTRUCTIONS[needs] & set(own["numpy"]):
        return f"the processor has no {needs}"
    return ""


def refused(combination, given):
    """What a library computes with that was asked for something else, or nothing."""
    for library in ("openblas", "mkl", "torch"):
        asked, said = getattr(combination, library), given[library]
        names = {asked.lower(), ALSO.get(asked.lower())}
        if asked and not (said and names.issuperset(name.lower() for name in said)):
            return f"{library}, asked for {asked}, takes {', '.join(said) or 'nothing'}"
    if combination.oldest and given["numpy"]:
        return f"numpy still takes {', '.join(given['numpy'])}"
    if given["threads"] != [combination.threads]:
        return f"threads, asked for {combination.threads}, are {given['threads']}"
    return ""


def settled(combination, own):
    """The environment of a combination, and why it cannot be had: "" if it is proved to be."""
    environment = variables(combination, own["numpy"])
    try:
        why = lacking(combination, own) or refused(combination, answer(environment))
    except RuntimeError as error:
        why = str(error)
    return environment, why


def run_all(combinations, jobs):
    """Both parts under each combination, and an outcome for each that cannot be had."""
    own, chosen, without = answer({}), [], []
    for combination in combinations:
        environment, why = settled(combination, own)
        if why:
            without.append(Outcome(combination.name, SKIPPED + why, failed=0))
            continue
        for part, arguments in PARTS.items():
            name = f"{combination.name}: {part}"
            report = "portable-" + re.sub(r"\W+", "-", name)
            chosen.append(stages.tests(jobs, name, report, *arguments, **environment))
    return [*stages.run_all(chosen), *without]


def record(outcomes):
    """Keep outcomes for the page, with machine, versions, commit and date.

    Those of other combinations, and of what was interrupted or not run, stay as they are.
    """
    facts = status.facts()
    ended = [one for one in outcomes if one.verdict in stages.ENDED or skipped(one)]
    known = measured.read(ROOT / status.PORTABLE)
    for old in list(known):
        # a combination has a row if it is skipped, and else one for each part
        for new in (one.name for one in ended):
            if old == new or old.startswith(f"{new}: ") or new.startswith(f"{old}: "):
                known.pop(old, None)
    known |= {one.name: asdict(one) | facts for one in ended}
    measured.write_whole(ROOT / status.PORTABLE, known)


def skipped(outcome):
    """Whether a combination could not be had."""
    return outcome.verdict.startswith(SKIPPED)


def main():
    parser = Parser(
        "python -m tools.portable", description="Run under other arithmetic, then tell of all."
    )
    parser.add_argument("--jobs", type=surroundings.jobs, default=os.cpu_count() or 1)
    names = {one.name: one for one in COMBINATIONS}
    parser.add_argument("--only", action="append", choices=names, help="one of the combinations")
    parser.add_argument("--tell", action="store_true", help="only say what computes as it is")
    arguments = parser.parse_args()
    if arguments.tell:
        print(json.dumps(told()))
        return 0
    for variable in CHOICES.values():  # a combination says what it asks for
        os.environ.pop(variable, None)
    stages.listen()
    outcomes = run_all([names[name] for name in arguments.only or names], arguments.jobs)
    print(f"\n{stages.table(outcomes)}", flush=True)
    record(outcomes)
    ran = [outcome for outcome in outcomes if not skipped(outcome)]
    return stages.status(ran) if ran else 1


if __name__ == "__main__":
    sys.exit(main())
