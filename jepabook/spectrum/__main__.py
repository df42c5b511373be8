"""``python -m jepabook.spectrum x.npy y.npy --depth 5 --epsilon 1e-2 --out report``.

Or of images: ``python -m jepabook.spectrum --images FOLDER --views block-masks --depth ...``.
Under ``torchrun --nproc-per-node N -m jepabook.spectrum ...`` every process reads its share.
"""

import sys
import time
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import numpy as np

from jepabook import recorded
from jepabook._support import command as _command
from jepabook._support.processes import PATIENCE, WAITING, under_torchrun
from jepabook.spectrum import estimates, labelled, prediction, report
from jepabook.theory.objectives import JEPA, MAE
from jepabook.worlds import views

VIEWS = ("random-masks", "block-masks", "crops", "jitter", "frames")
GREY = np.array([0.2125, 0.7154, 0.0721]) / 255  # luminance of red, green and blue, as worlds' is
CROPPED = 2  # images are read so many times as large as crops of them
FEW = 8  # clips from which on they are what is independent
FAR = 0.1  # a misalignment from which on the generalised eigenvalues are told as well


def parser():
    """The command's arguments."""
    command = _command.Parser(
        "python -m jepabook.spectrum",
        description="Which features of paired views would JEPA and MAE learn first?",
    )
    files = ".npy, a folder of them, .safetensors or .parquet; FILE:NAME for one of several"
    command.add_argument("x", nargs="?", help=f"the first views, one a row ({files})")
    command.add_argument("y", nargs="?", help="the second views, row by row the pairs of x")
    command.add_argument("--depth", type=int, required=True, help="layers of the encoder")
    command.add_argument("--epsilon", type=float, required=True, help="size of features at start")
    command.add_argument("--out", required=True, help="folder for the report")
    command.add_argument("--clusters", help="an integer a row: what belongs together")
    command.add_argument("--labels", help="of each row: integers, words or numbers")
    _of_images(command.add_argument_group("views of images, in place of x and y"))
    command.add_argument("--uncentred", action="store_true", help="do not take off means")
    command.add_argument("--fraction", type=float, default=0.5, help="of its size: learned (0.5)")
    command.add_argument("--groups", type=int, help="of rows, for intervals (at most 64)")
    command.add_argument("--confidence", type=float, default=0.95, help="of intervals (0.95)")
    command.add_argument("--seed", type=int, default=0, help="of the intervals (0)")
    command.add_argument("--device", default="auto", help="auto, cpu or cuda (auto)")
    command.add_argument("--patience", type=float, default=PATIENCE, help=WAITING)
    return command


def _of_images(group):
    group.add_argument(
        "--images",
        help="folder of images or of class folders (then with labels), one that "
        "jepabook.vision.convert made, parquet, hub:owner/name, or photos",
    )
    group.add_argument(
        "--views",
        choices=VIEWS,
        nargs="+",
        help="how a pair comes from an image; of several each has a report of its own in OUT, and "
        "where labels stand is told side by side",
    )
    group.add_argument("--size", type=int, default=16, help="pixels a side of a view, grey (16)")
    group.add_argument("--pairs", type=int, default=30_000, help="as many (30 000)")
    group.add_argument("--most-images", type=int, default=20_000, help="taken at most (20 000)")
    group.add_argument("--patch", type=int, default=1, help="masks: pixels a side of a patch (1)")
    group.add_argument("--visible", type=float, default=0.25, help="random-masks: share seen (.25)")
    group.add_argument("--blocks", type=int, default=4, help="block-masks: target blocks (4)")
    spans = {
        "share": ((0.15, 0.2), "block-masks: of the picture in a target block (.15 .2)"),
        "aspect": ((0.75, 1.5), "block-masks: height over width of target blocks (.75 1.5)"),
        "context": ((0.85, 1.0), "block-masks: of the picture in the context block (.85 1)"),
        "scale": ((0.3, 1.0), "crops: of the picture's area in a view (.3 1)"),
    }
    for name, (default, told) in spans.items():
        group.add_argument(f"--{name}", type=float, nargs=2, default=default, help=told)
    group.add_argument("--jitter", type=float, default=0.3, help="jitter: of brightness (.3)")
    group.add_argument("--gap", type=int, default=1, help="frames: between the two of a pair (1)")


def main(argv=None):
    """Run the command; returns the exit status, 2 for bad input."""
    started = time.time()

    def work(options):
        with under_torchrun(options.device, options.patience) as share:
            if options.views is None or len(options.views) == 1:
                options.views = options.views and options.views[0]
                _report(options, share, started)
            else:
                _side_by_side(options, share, started)

    return _command.status(parser(), work, argv)


def _side_by_side(options, share, started):
    """A report for each of several kinds of views, in one folder, and where labels stand in all."""
    folder, kinds = Path(options.out), dict.fromkeys(options.views)
    with share.agreed():
        if share.rank == 0:
            if not folder.is_dir():
                report.check_folder(folder)
                folder.mkdir()
            for kind in kinds:
                report.check_folder(folder / kind)
    for kind in kinds:
        each = Namespace(**vars(options) | {"views": kind, "out": folder / kind})
        if share.rank == 0:
            print(f"{kind}:")
        kinds[kind] = _report(each, share, started)
    if share.rank == 0 and any(kinds.values()):
        print(f"{'half of what labels tell after':32} JEPA   MAE   in all:  JEPA   MAE")
        for kind, found in kinds.items():
            if found is None:
                print(f"{kind:32} has no labels")
                continue
            each = [found[objective.name] for objective in (JEPA, MAE)]
            if each[0]["half"] is None:
                print(f"{kind:32} cannot be told")
                continue
            places = "".join(f"{one['half'] or 'never':>6}" for one in each)
            shares = "".join(f"{one['in_all']:6.0%}" for one in each)
            print(f"{kind:30} {places}           {shares}")


def _report(options, share, started):
    """Write and tell; returns where labels stand, None without labels or in other processes."""
    with share.agreed():
        _refuse_no_figure()
        report.check_folder(options.out)
    start = prediction.checked_start(
        depth=options.depth, epsilon=options.epsilon, fraction=options.fraction
    )
    with share.agreed():
        x, y, clusters, labels = _views(options)
    found = estimates.estimate(
        x,
        y,
        clusters=clusters,
        centred=not options.uncentred,
        groups=options.groups,
        confidence=options.confidence,
        seed=options.seed,
        device=options.device,
        share=share,
    )
    stand = None
    if labels is not None:
        stand = labelled.label_shares(found, x, labels, clusters=clusters, share=share)
    with share.agreed():
        if share.rank == 0:
            predicted = prediction.predict(found, **start)
            facts = recorded.provenance(options.seed, started, options.device)
            side = options.size if options.images is not None else None
            report.write(options.out, found, predicted, facts, stand, side)
            print(_told(found, predicted, start, stand, options))
            return stand and report.label_summary(stand, predicted)
    return None


def _views(options):
    """x, y, clusters and labels: files, or arrays made of images."""
    if (options.images is None) != (options.views is None):
        raise ValueError("--images and --views must be given together, got one of them")
    if options.images is None:
        if options.y is None:
            raise ValueError("x and y must be given, or --images and --views, got neither")
        return options.x, options.y, options.clusters, options.labels
    if options.labels is not None and options.views == "frames":
        raise ValueError(
            "--labels must be left out with --views frames, whose folders are clips, got "
            f"{options.labels}: cut pairs with jepabook.views.frames and give arrays"
        )
    for name in ("x", "clusters", "labels"):
        if getattr(options, name) is not None:
            raise ValueError(f"{name} must be left out with --images, got {getattr(options, name)}")
    try:
        from jepabook.vision import images
    except ImportError as error:
        told = f"--images needs {error.name}: pip install '.[vision]' in the clone"
        raise ValueError(told) from None
    side = options.size * (CROPPED if options.views == "crops" else 1)
    read = images.read(options.images, side, options.most_images)
    classes, grey = read.labels.get("class"), read.pixels @ GREY
    if options.views == "frames":
        clips = np.zeros(len(grey), int) if classes is None else classes
        x, y, clip = views.frames(grey, clips, gap=options.gap)
        return x, y, clip if len(np.unique(clip)) >= FEW else None, None
    drawn = grey, options.pairs, options.seed
    x, y, which = {
        "random-masks": lambda: views.random_masks(
            *drawn, visible=options.visible, patch=options.patch
        ),
        "block-masks": lambda: views.block_masks(
            *drawn, options.blocks, options.share, options.aspect, options.context, options.patch
        ),
        "crops": lambda: views.crops(*drawn, size=options.size, scale=options.scale),
        "jitter": lambda: views.jitter(*drawn, spread=options.jitter),
    }[options.views]()
    several = classes is not None and len(np.unique(classes)) > 1
    return x, y, which, classes[which] if several else None


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


def _features(count):
    return f"{count} feature" + "s" * (count != 1)


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
        f"{objective.name} learns {_features(counts['sure'])} surely, {counts['likely']} likely, "
        f"in the order {first}"
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


def _stand(stand, predicted):
    """Lines on where labels stand."""
    found = report.label_summary(stand, predicted)
    kind = "numbers" if found["classes"] is None else f"{found['classes']} classes"
    sure = _features(found["sure"])
    lines = [f"labels ({kind}): told from {sure} surely, {found['likely']} likely"]
    if found["rho"] is not None:
        lines.append(
            f"  rho {found['rho']:.3f} with standard error {found['rho_error']:.3f}, "
            f"lambda {found['lam']:.3g} with {found['lam_error']:.2g}: means of the features', "
            "each weighed by what it tells"
        )
        for objective in (JEPA, MAE):
            here = found[objective.name]
            half, most = (
                f"after {_features(n)}" if n else "never" for n in (here["half"], here["most"])
            )
            lines.append(
                f"  {objective.name} has half of what they tell {half}, {report.MOST:.0%} {most}; "
                f"all that it learns has {here['in_all']:.0%}"
            )
    return lines + [f"  caution: {caution}" for caution in stand.cautions]


def _told(found, predicted, start, stand, options):
    """What the command prints."""
    pairs = predicted.disagreements
    certain = sum(pair.certainty >= report.CERTAIN for pair in pairs)
    lines = [
        f"{found.count} pairs, {len(found)} features: directions from "
        f"{found.swapped.held_out} pairs, values from the {found.held_out} others"
    ]
    swapped = prediction.predict(found.swapped, **start)
    for objective in (JEPA, MAE):
        lines += _learned(objective, predicted, swapped)
    lines.append(f"pairs that they order differently: {len(pairs)}, {certain} of them surely")
    if stand is not None:
        lines += _stand(stand, predicted)
    elif options.views == "frames":
        lines.append(
            "labels: none, for folders of frames are clips; with arrays of pairs --labels is asked"
        )
    kept = report.kept_first(found, predicted)
    if len(kept):
        some = ", ".join(map(str, kept[:8])) + (", ..." if len(kept) > 8 else "")
        lines.append(
            f"from random starts JEPA keeps some of these, mostly from the largest rho on: {some}"
        )
        gain, right, trials = report.came_true(predicted)
        lines.append(
            f"  that came true in {right} of {trials} recorded trials at a gain of {gain}, the "
            "nearest to this start's (chapter 6)"
        )
    lines += ["how far to trust it:", *(f"  {line}" for line in _trust(found, predicted))]
    return "\n".join([*lines, f"report: {options.out}"])


def _trust(found, predicted):
    """Lines on how well the theory fits the data."""
    lines = [
        f"explained: {found.explained:.1%} of the variance of y, by the best linear predictor",
        f"misalignment: {found.misalignment:.1%} of that is lost if features predict themselves"
        if np.isfinite(found.misalignment)
        else "misalignment: none can be told, for x explains no more than chance would",
        f"correlation between features of x: {found.correlation:.3f} root mean square",
    ]
    if any(len(predicted.order(objective)) for objective in (JEPA, MAE)):
        lines.append("all this for aligned starts of one scale; from random ones fewer orders hold")
    if found.misalignment >= FAR:
        rho = np.round(found.generalised()[0][:5], 3).tolist()
        lines.append(
            "caution: the covariances are far from a common basis, features are mixtures "
            f"(chapter 6). Generalised eigenvalues: {rho} ... (generalised.csv)"
        )
    return lines + [f"caution: {caution}" for caution in found.cautions]


if __name__ == "__main__":
    sys.exit(main())
