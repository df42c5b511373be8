"""`make gpu`: all that needs a GPU, in one command of at most eight minutes; results/gpu.npz.

Each stage runs in a process of its own and keeps what it found in `_build/gpu`, so the same command
goes on after an interruption, an error or the end of its time; a training goes on within its stage.
The file is written when all stages are done, whole or not at all. What was kept on another device,
with another PyTorch, at another commit or for other images is not taken.
"""

import datetime
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jepabook import recorded
from jepabook._support import command
from tools import provenance
from tools.surroundings import ROOT

FOLDER = ROOT / "_build" / "gpu"
RESULT = recorded.RESULTS / "gpu.npz"
LIMIT = 480.0  # seconds of one call
SEED = 0
RANDOM = "random"
#: Every test that is skipped where there is no GPU, or tries less there.
TESTS = (
    "tests/training/test_linear_net.py::"
    "test_a_training_on_the_gpu_is_the_training_on_the_cpu_for_the_population",
    "tests/vision/test_images.py::test_pictures_are_taken_from_where_they_live",
    "tests/vision/test_subspaces.py::test_a_gpu_gives_what_the_cpu_gives",
    "tests/vision/test_train.py::test_a_gpu_finds_what_a_cpu_finds_up_to_bfloat16_and_goes_on",
)


@dataclass(frozen=True)
class Sizes:
    """How much each stage does.

    Attributes
    ----------
    preset : str
        Of the vision transformers, of `model.PRESETS`.
    batch, repeats : int
        Images a step; steps that are timed.
    product : int
        Rows of the matrices whose product tells the peak.
    seeds, steps : int
        Of the linear networks, both objectives.
    pair_steps, pictures : int
        Steps of the two trainings on images, and how many there are.
    compiler : str
        Of torch.compile.
    """

    preset: str = "vit-s/8"
    batch: int = 1024
    repeats: int = 20
    product: int = 8192
    seeds: int = 128
    steps: int = 5000
    pair_steps: int = 200
    pictures: int = 20_000
    compiler: str = "inductor"


@dataclass(frozen=True)
class Place:
    """Where a stage computes, the folder for what it keeps, and which images it takes."""

    device: str
    folder: Path
    images: str = RANDOM

    @property
    def on_gpu(self):
        return self.device.startswith("cuda")


class _Outcomes:
    """A plugin of pytest that counts how tests ended."""

    def __init__(self):
        self.counts = dict.fromkeys(("passed", "failed", "skipped"), 0)

    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1


def tests(place, sizes):
    """The tests that need a GPU; none may be skipped."""
    import pytest

    told = _Outcomes()
    pytest.main(["-q", "-p", "no:cacheprovider", *TESTS], plugins=[told])
    passed, failed, skipped = told.counts.values()
    if failed or skipped or not passed:
        raise ValueError(f"tests must all pass, got {passed}, {failed} failed, {skipped} skipped")
    return {"passed": passed}


def _network(place, sizes, objective="jepa"):
    """A model, and a batch of noise with masks; images are a quarter of a batch."""
    import torch

    from jepabook.vision import model, recipes

    config = model.preset(sizes.preset)
    network = recipes.recipe(objective).model(config, SEED).to(place.device)
    generator, count = torch.Generator().manual_seed(SEED), max(2, sizes.batch // 4)
    shape = count, model.CHANNELS, config.image_size, config.image_size
    images = torch.randn(shape, generator=generator).to(place.device)
    masks = model.random_masks(count, config.patches, config.share, generator, place.device)
    return network, (images, *masks)


def _gradient(network, forward, batch, low=False):
    """Loss and the gradient as one row, both float64 on the CPU."""
    import torch

    network.zero_grad(set_to_none=True)
    kind = batch[0].device.type
    with torch.autocast(kind, torch.bfloat16, enabled=low):
        loss = forward(*batch)
    loss.backward()
    rows = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return float(loss.detach()), torch.cat(rows).cpu().double().numpy()


def _compared(found, right, least_cosine, name):
    """Loss and gradient against others: relative difference, and cosine."""
    (loss, gradient), (right_loss, right_gradient) = found, right
    off = abs(loss / right_loss - 1)
    norms = np.linalg.norm(gradient) * np.linalg.norm(right_gradient)
    cosine = float(gradient @ right_gradient / norms)
    if not cosine >= least_cosine:
        raise ValueError(f"{name} must keep the gradient to {least_cosine}, got cosine {cosine}")
    return {"loss_off": off, "cosine": cosine}


def nccl(place, sizes):
    """One process in a group: sums, and the gradient of a wrapped model, are its own."""
    from torch import distributed
    from torch.nn.parallel import DistributedDataParallel

    from jepabook._support import processes

    network, batch = _network(place, sizes)
    right = _gradient(network, network, batch)
    distributed.init_process_group(
        "nccl" if place.on_gpu else "gloo",
        store=distributed.HashStore(),
        rank=0,
        world_size=1,
        timeout=datetime.timedelta(seconds=60),
    )
    try:
        rows = np.linspace(-1, 1, 1001)
        if not np.array_equal(processes.among_processes().total(rows), rows):
            raise ValueError("a sum of one process must be what it gave, got another")
        found = _gradient(network, DistributedDataParallel(network), batch)
    finally:
        distributed.destroy_process_group()
    return _compared(found, right, 1 - 1e-6, "nccl")


def bf16(place, sizes):
    """Loss and gradient in bfloat16 against float32, for both objectives."""
    found = {}
    for objective in ("jepa", "mae"):
        network, batch = _network(place, sizes, objective)
        right = _gradient(network, network, batch)
        low = _gradient(network, network, batch, low=True)
        told = _compared(low, right, 0.98, f"{objective} in bfloat16")
        found |= {f"{objective}_{key}": value for key, value in told.items()}
    return found


def compiled(place, sizes):
    """Loss and gradient of the compiled model against the plain one, and the compiler's seconds."""
    import torch

    network, batch = _network(place, sizes)
    right = _gradient(network, network, batch)
    began = time.perf_counter()
    found = _gradient(network, torch.compile(network, backend=sizes.compiler), batch)
    took = time.perf_counter() - began
    return _compared(found, right, 1 - 1e-4, "torch.compile") | {"first_call_seconds": took}


def transformer(place, sizes):
    """Images a second of both objectives and of transformers; ours as shares of the peak."""
    from benchmarks import test_vision
    from jepabook.vision import model

    return test_vision.on_a_device(
        model.preset(sizes.preset),
        sizes.batch,
        sizes.repeats,
        sizes.product,
        place.device,
        sizes.compiler,
    )


def networks(place, sizes):
    """Linear networks of Figure 1, distribution 2: seconds, share of products, and orders."""
    from benchmarks import test_linear_net
    from jepabook import FeatureSpectrum, learning_order, same_minibatches
    from results import sgd

    spectrum = FeatureSpectrum(*sgd.PANELS["distribution_2"])
    runs = same_minibatches.train_both(
        spectrum,
        sizes.seeds,
        [sgd.GAIN],
        [0.03],
        steps=sizes.steps,
        record_at=[0, sizes.steps],
        seed=sgd.SEED,
        device=place.device,
    )
    order = learning_order.tau(-runs.sizes[-1, :, 0, 0], spectrum.lam)
    limit = test_linear_net.Ours(sizes.seeds, both=True, device=place.device).limit()
    return {
        "seconds": runs.seconds,
        "share_of_products": limit * sizes.steps / runs.seconds,
        "order_by_lam": order,
    }


def _pictures(words, size, count):
    """An `images.ImageSet`: noise, or what `images.open_images` opens."""
    from jepabook.vision import images

    if words != RANDOM:
        return images.open_images(words, size, count, SEED)
    pixels = np.random.default_rng(SEED).integers(256, size=(count, size, size, 3), dtype=np.uint8)
    return images.ImageSet(RANDOM, pixels, {}, {})


def pair(place, sizes):
    """JEPA and MAE by the same plan: losses, and images a second."""
    from jepabook.vision import model, runs, train

    config, found = model.preset(sizes.preset), {}
    pictures = _pictures(place.images, config.image_size, sizes.pictures)
    for objective in ("jepa", "mae"):
        plan = train.Plan(
            objective, config, sizes.pair_steps, sizes.batch, SEED, part=sizes.batch, keep=4
        )
        folder = place.folder / f"pair-{objective}"
        train.train(plan, pictures, folder, place.device, save_every=20.0)
        log = runs.log_of(folder)
        found["steps"] = np.array([line["step"] for line in log])
        found[f"{objective}_loss"] = np.array([line["loss"] for line in log])
        speeds = [line["images_per_second"] for line in log[1:]] or [log[0]["images_per_second"]]
        found[f"{objective}_images_per_second"] = np.median(speeds)
    return found


#: In the order in which they run.
STAGES = {
    "tests": tests,
    "nccl": nccl,
    "bf16": bf16,
    "compiled": compiled,
    "networks": networks,
    "transformer": transformer,
    "pair": pair,
}


def path_of(place, name):
    """The file that a stage leaves."""
    return place.folder / f"{name}.npz"


def kept(place, name, identity):
    """What a stage found before, (arrays, seconds); None if nothing, or under other conditions."""
    try:
        arrays, facts = recorded.load(path_of(place, name))
    except (OSError, ValueError):
        return None
    return (arrays, facts["seconds"]) if facts.get("identity") == identity else None


def run_stage(place, name, identity, sizes):
    """Do one stage in this process and keep what it finds."""
    began = time.perf_counter()
    found = {key: np.asarray(value) for key, value in STAGES[name](place, sizes).items()}
    facts = {"identity": identity, "seconds": round(time.perf_counter() - began, 1)}
    recorded.save(path_of(place, name), found, facts)


def run_all(place, identity, start, result=RESULT, limit=LIMIT):
    """All stages that are not done, then the result; the exit status.

    Parameters
    ----------
    place : Place
    identity : dict
        Under what conditions a stage's file counts.
    start : callable
        Takes a stage's name and the seconds that are left; returns None, or in a line why the
        stage is not done.
    result : path
    limit : float
        Seconds.
    """
    began, clock = time.time(), time.monotonic()
    for name in STAGES:
        done, trouble = kept(place, name, identity), None
        if done is None:
            left = limit - (time.monotonic() - clock)
            trouble = start(name, left) if left > 0 else "no time is left"
            done = None if trouble else kept(place, name, identity)
        told = f"{done[1]:.0f} s" if done else f"not done: {trouble or 'it left no file'}"
        print(f"{name:12} {told}", flush=True)
    found = {name: kept(place, name, identity) for name in STAGES}
    if None in found.values():
        print(f"{result.name} is not written; the same command goes on")
        return 1
    arrays = {
        f"{name}__{key}": value for name, (each, _) in found.items() for key, value in each.items()
    }
    facts = recorded.provenance(SEED, began, identity["device"]) | {
        "identity": identity,
        "seconds": {name: seconds for name, (_, seconds) in found.items()},
    }
    facts["wall_seconds"] = round(sum(facts["seconds"].values()), 1)  # over all calls
    recorded.save(result, arrays, facts)
    print(f"{result.name} is written")
    return 0


def conditions(device, images):
    """What must be the same for a stage's file to count."""
    commit = provenance.commit_of(ROOT)
    return {
        "device": device,
        "torch": recorded.versions("torch")["torch"],
        "images": images,
        "commit": commit.hash + " with changes" * commit.changed if commit else "unknown",
    }


def parser():
    """The command's arguments."""
    options = command.Parser("python -m tools.gpu", description=__doc__.partition("\n")[0])
    options.add_argument(
        "--images",
        default=RANDOM,
        help="for the pair: random, photos, or a folder made by vision.convert (random)",
    )
    options.add_argument("--stage", choices=STAGES, help="one stage in this process, for `make`")
    return options


def _work(options):
    import torch

    if not torch.cuda.is_available():
        raise ValueError(
            "a GPU must be there that this PyTorch computes on, got none "
            f"(torch {torch.__version__})"
        )
    place = Place("cuda", FOLDER, options.images)
    identity = conditions(torch.cuda.get_device_name(), options.images)
    if options.stage:
        run_stage(place, options.stage, identity, Sizes())
        return None

    def start(name, left):
        words = [sys.executable, "-m", "tools.gpu", "--stage", name, "--images", options.images]
        try:
            ended = subprocess.run(words, cwd=ROOT, timeout=left).returncode
        except subprocess.TimeoutExpired:
            return f"the {LIMIT:.0f} seconds are over"
        return f"exit status {ended}" if ended else None

    return run_all(place, identity, start)


def main(arguments=None):
    return command.status(parser(), _work, arguments)


if __name__ == "__main__":
    sys.exit(main())
