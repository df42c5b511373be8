"""``python -m jepabook.spectrum x.npy y.npy --depth 5 --epsilon 1e-2 --out report``.

Under ``torchrun --nproc-per-node N -m jepabook.spectrum ...`` every process reads its share.
"""

import sys
import time
from importlib import import_module

import numpy as np

from jepabook import recorded
from jepabook._support import command as _command
from jepabook._support.processes import PATIENCE, WAITING, under_torchrun
from jepabook.spectrum import estimates, prediction, report
from jepabook.theory.objectives import JEPA, MAE

FAR = 0.1  # a misalignment from which on the generalised eigenvalues are told as well


def parser():
    """The command's arguments."""
    command = _command.Parser(
        "python -m jepabook.spectrum",
        description="Which features of paired views would JEPA and MAE learn first?",
    )
    command.add_argument("x", help=".npy file of the first views, one a row")
    command.add_argument("y", help=".npy file of the second views, row by row the pairs of x")
    command.add_argument("--depth", type=int, required=True, help="layers of the encoder")
    command.add_argument("--epsilon", type=float, required=True, help="size of features at start")
    command.add_argument("--out", required=True, help="folder for the report")
    command.add_argument("--clusters", help=".npy file: an integer a row, what belongs together")
    command.add_argument("--uncentred", action="store_true", help="do not take off means")
    command.add_argument("--fraction", type=float, default=0.5, help="of its size: learned (0.5)")
    command.add_argument("--groups", type=int, help="of rows, for intervals (at most 64)")
    command.add_argument("--confidence", type=float, default=0.95, help="of intervals (0.95)")
    command.add_argument("--seed", type=int, default=0, help="of the intervals (0)")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    command.add_argument("--patience", type=float, default=PATIENCE, help=WAITING)
    return command


def main(argv=None):
    """Run the command; returns the exit status, 2 for bad input."""
    started = time.time()

    def work(options):
        with under_torchrun(options.device, options.patience) as share:
            _report(options, share, started)

    return _command.status(parser(), work, argv)


def _report(options, share, started):
    with share.agreed():
        _refuse_no_figure()
        report.check_folder(options.out)
    start = prediction.checked_start(
        depth=options.depth, epsilon=options.epsilon, fraction=options.fraction
    )
    found = estimates.estimate(
        options.x,
        options.y,
        clusters=options.clusters,
        centred=not options.uncentred,
        groups=options.groups,
        confidence=options.confidence,
        seed=options.seed,
        device=options.device,
        share=share,
    )
    with share.agreed():
        if share.rank == 0:
            predicted = prediction.predict(found, **start)
            facts = recorded.provenance(options.seed, started, options.device)
            report.write(options.out, found, predicted, facts)
            print(_told(found, predicted, start, options.out))


def _refuse_no_figure():
    """Raise ValueError, before the work, where no figure can be drawn after it."""
    try:
        import_module("jepabook.figures")
    except ImportError:
        told = "matplotlib must be installed: pip install '.[spectrum]' in the clone"
        raise ValueError(told) from None
    except Exception as error:  # of a setting
        told = f"MPLBACKEND and matplotlibrc must be such that matplotlib starts, got: {error}"
        raise ValueError(told) from None


def _learned(objective, predicted, swapped):
    """Lines on what the objective learns."""
    counts, others = (
        {v: int((p.learned[objective] == v).sum()) for v in prediction.VERDICTS}
        for p in (predicted, swapped)
    )
    order, near = predicted.order(objective), predicted.near(objective)
    kept = predicted.undisturbed(objective)
    first = ", ".join(map(str, order[:8])) + (", ..." if len(order) > 8 else "")
    lines = [
        f"{objective.name} learns {counts['sure']} features surely, {counts['likely']} likely, in "
        f"the order {first}"
        if len(order)
        else f"{objective.name}: of no feature can it be told that it is learned",
        f"  not learned: {counts['surely not']} surely, {counts['likely not']} likely; cannot be "
        f"told: {counts['cannot be told']}",
        f"  with the halves exchanged: {others['sure']} surely, {others['likely']} likely learned",
    ]
    if len(order):
        lines.append(
            f"  times to rely on, of weak pull and with room to grow: {len(kept)} of {len(order)}"
        )
    if len(near) and len(order):
        lines.append(
            f"  {len(near)} start near the size at which they count as learned: a small change of "
            "epsilon moves them"
        )
    return lines


def _told(found, predicted, start, out):
    """What the command prints."""
    pairs = predicted.disagreements
    certain = sum(pair.certainty >= report.CERTAIN for pair in pairs)
    lines = [
        f"{found.count} pairs, {len(found)} features: directions from "
        f"{found.swapped.held_out} pairs, values from the {found.held_out} others",
        f"explained: {found.explained:.1%} of the variance of y, by the best linear predictor",
        f"misalignment: {found.misalignment:.1%} of that is lost if features predict themselves"
        if np.isfinite(found.misalignment)
        else "misalignment: none can be told, for x explains no more than chance would",
        f"correlation between features of x: {found.correlation:.3f} root mean square",
    ]
    swapped = prediction.predict(found.swapped, **start)
    for objective in (JEPA, MAE):
        lines += _learned(objective, predicted, swapped)
    lines.append(f"pairs that they order differently: {len(pairs)}, {certain} of them surely")
    lines += [f"caution: {caution}" for caution in found.cautions]
    if any(len(predicted.order(objective)) for objective in (JEPA, MAE)):
        lines.append("all this for aligned starts of one scale; from random ones fewer orders hold")
    if found.misalignment >= FAR:
        rho = np.round(found.generalised()[0][:5], 3).tolist()
        lines.append(
            f"The covariances are far from a common basis. Generalised eigenvalues: {rho} ... "
            "(generalised.csv)"
        )
    return "\n".join([*lines, f"report: {out}"])


if __name__ == "__main__":
    sys.exit(main())
