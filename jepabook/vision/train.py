"""``python -m jepabook.vision.train --objective jepa --images photos --preset toy --out runs/a``.

One loop for both objectives. After an interruption of any kind the same command goes on, and ends
with the weights that it would have had without. Under ``torchrun --nproc-per-node N -m
jepabook.vision.train ...`` N processes share every batch, and the disk that the folder is on.
"""

import dataclasses
import json
import math
import sys
import time
from contextlib import ExitStack, contextmanager, nullcontext

import numpy as np
import torch
from torch.nn.parallel import DistributedDataParallel

from jepabook import recorded
from jepabook._support import command as _command
from jepabook._support import files, validate
from jepabook._support import tensors as _tensors
from jepabook._support.processes import PATIENCE, WAITING, Share, under_torchrun
from jepabook.vision import images, model, objectives, recipes, runs
from jepabook.vision.batches import Batches, FreshBatches

COUNT = 20_000  # images, where they are cut or drawn
MOST_KEPT = 1000  # models
LOGGED = 10  # steps between two lines of the log


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that decides what a training ends with, but for the images.

    Attributes
    ----------
    objective : {"jepa", "mae", "mae-pixels"}
    config : model.Config
    steps : int
    batch : int
        Images a step.
    seed : int
        Of weights, order, crops and masks.
    rate : float or None
        Peak of the learning rate; None for the recipe's at this batch.
    crop : float
        A crop's share of the picture at least; 1 for whole pictures.
    part : int
        Images at a time: gradients add up over the parts of a batch.
    keep : int
        How many models are kept beside the first.
    spacing : {"geometric", "even"}
        Of the steps after which they are kept.
    warmup : float or None
        Share of the steps in which the rate rises; None: the recipe's.
    momentum : float or None
        Of JEPA's target encoder, all the time; None: the recipe's course. MAE has none.
    jitter : float or None
        Standard deviation of what is added to the brightness, in [0, 1], of what the encoder sees
        and, drawn once more, of what it has to predict; None: nothing, and one picture for both.
    """

    objective: str
    config: model.Config
    steps: int
    batch: int = 256
    seed: int = 0
    rate: float | None = None
    crop: float = 0.3
    part: int = 64
    keep: int = 16
    spacing: str = "geometric"
    warmup: float | None = None
    momentum: float | None = None
    jitter: float | None = None

    def __post_init__(self):
        validate.instance("config", self.config, model.Config)
        most = {"steps": validate.MOST_STEPS, "keep": MOST_KEPT}
        for name in ("steps", "batch", "part", "keep"):
            value = validate.integer(name, getattr(self, name), most=most.get(name, validate.MOST))
            object.__setattr__(self, name, value)
        object.__setattr__(self, "seed", validate.seed(self.seed))
        crop = validate.number("crop", self.crop, validate.half_open_unit)
        object.__setattr__(self, "crop", crop)
        rate = recipes.recipe(self.objective).rate * self.batch / 256
        if self.rate is not None:
            rate = validate.number("rate", self.rate, validate.positive)
        object.__setattr__(self, "rate", rate)
        validate.option("spacing", self.spacing, ("geometric", "even"))
        if self.momentum is not None and self.objective != "jepa":
            told = validate.one_line(self.momentum)
            raise ValueError(f"momentum must be None for {self.objective}, got {told}")
        for name, rule in (
            ("warmup", validate.open_unit),
            ("momentum", validate.half_open_unit),
            ("jitter", validate.non_negative),
        ):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, validate.number(name, value, rule))

    @property
    def kept(self):
        """After which steps a model is kept, 0 and `steps` among them."""
        even = np.linspace(0, self.steps, self.keep + 1)
        steps = even if self.spacing == "even" else np.geomspace(1, self.steps, self.keep)
        return sorted({0, self.steps, *np.rint(steps).astype(int).tolist()})

    @property
    def recipe(self):
        """The objective's Recipe, with the plan's warm-up."""
        recipe = recipes.recipe(self.objective)
        return recipe if self.warmup is None else dataclasses.replace(recipe, warmup=self.warmup)

    @property
    def network(self):
        """The untrained model."""
        own = {} if self.momentum is None else {"momentum": (self.momentum, self.momentum)}
        return self.recipe.model(self.config, self.seed, **own)

    def batches(self, pictures, device="cpu"):
        """The batches of an ImageSet, or of Photographs."""
        validate.instance("pictures", pictures, (images.ImageSet, images.Photographs))
        shared = self.config, self.batch, self.seed
        if isinstance(pictures, images.Photographs):
            if self.crop != 1:
                raise ValueError(f"crop must be 1 where crops are cut anew, got {self.crop}")
            return FreshBatches(pictures.pixels, *shared, self.jitter, device)
        size = self.config.image_size
        if pictures.size != size:
            raise ValueError(f"images must have {size} pixels a side, got {pictures.size}")
        return Batches(pictures.pixels, *shared, self.crop, self.jitter, device)

    def logs(self, step):
        """Whether the log has a line after `step` steps."""
        step = validate.integer("step", step, least=0)
        return step % LOGGED == 0 or step == self.steps


def train(
    plan, pictures, folder, device="cpu", share=None, workers=1, save_every=60.0, progress=False
):
    """Train, or go on with a training.

    Parameters
    ----------
    plan : Plan
    pictures : images.ImageSet or images.Photographs
    folder : path
        New, empty, or of the same plan and pictures.
    device : str or torch device
    share : Share or None
        This process's place among those that train together; None: it is alone.
    workers : int
        On a CPU, threads; the result does not depend on them.
    save_every : float
        Seconds between two points from which a killed training can go on.
    progress : bool
        Whether to show a bar, if standard error is a terminal.

    Returns
    -------
    dict
        The log's last line.

    Raises
    ------
    ValueError
        In one line: the folder or a checkpoint in it is damaged or of another training, another
        process trains there, sizes do not fit, the loss is no longer finite.
    """
    share, device = Share() if share is None else share, _tensors.device(device)
    for name, value, of in (
        ("plan", plan, Plan),
        ("pictures", pictures, (images.ImageSet, images.Photographs)),
        ("share", share, Share),
    ):
        validate.instance(name, value, of)
    folder, progress = validate.path("folder", folder), validate.flag("progress", progress)
    with ExitStack() as stack:
        with share.agreed():
            workers = validate.integer("workers", workers, most=objectives.MOST_WORKERS)
            save_every = validate.number("save_every", save_every, validate.non_negative)
            if plan.batch % share.processes:
                raise ValueError(f"batch must be a multiple of {share.processes}, got {plan.batch}")
            # before the folder: a plan that does not fit the images is to leave no trace
            batches = plan.batches(pictures, device)
        run = stack.enter_context(_folder(plan, pictures, folder, device, share))
        with share.agreed():
            network = plan.network.to(device)
            optimiser = torch.optim.AdamW(
                model.decay_groups(network, 0.0), lr=0.0, betas=plan.recipe.betas, fused=True
            )
            done = run.restore(network, optimiser)
            length = run.log_length([step for step in range(1, done + 1) if plan.logs(step)])
            run.verify(step for step in plan.kept if done and step <= done)
        if (share.gathered(done) != done).any():
            raise ValueError(f"all processes must see the same files in {folder}, got others")
        gradients = stack.enter_context(_gradients(network, plan.part, device, share, workers))
        training = _Training(plan, batches, network, optimiser, gradients, share)
        _loop(training, run, done, length, save_every, progress)
    return runs.log_of(folder)[-1]


@dataclasses.dataclass
class _Training:
    """What a step needs."""

    plan: Plan
    batches: Batches | FreshBatches
    network: objectives.ImageObjective
    optimiser: torch.optim.AdamW
    gradients: object
    share: Share

    def step(self, step):
        """Do one step; the loss of this process's part of the batch."""
        rate, decay = self.rates(step)
        for group, value in zip(self.optimiser.param_groups, (decay, 0.0), strict=True):
            group["lr"], group["weight_decay"] = rate, value
        batch = self.batches.at(step, self.share.rank, self.share.processes)
        loss = self.gradients(*batch)
        self.optimiser.step()
        self.network.after_step(step / self.plan.steps)
        return loss

    def check(self, step):
        """Raise ValueError unless the model's loss is finite, on images of the step just done."""
        share = self.share
        batch = self.batches.at(step - 1, share.rank, share.processes)
        with torch.no_grad():
            loss = float(self.network(*(tensor[: self.plan.part] for tensor in batch)))
        if not math.isfinite(loss):
            raise ValueError(
                f"rate must be smaller than {self.plan.rate}: after step {step} the loss is "
                f"{loss}; what was saved before is kept"
            )

    def rates(self, step):
        """Learning rate and weight decay."""
        steps = self.plan.steps
        rate = recipes.learning_rate(self.plan.recipe, self.plan.rate, step, steps)
        return rate, recipes.weight_decay(self.plan.recipe, step, steps)


def _loop(training, run, done, length, save_every, progress):
    """All steps from `done` on. The first process writes, the others only compute."""
    from tqdm import tqdm

    plan, share, first = training.plan, training.share, training.share.rank == 0
    failure = None
    with ExitStack() as stack:
        hidden = None if progress and first else True
        bar = stack.enter_context(
            tqdm(total=plan.steps, initial=done, unit=" steps", disable=hidden)
        )
        with share.agreed():
            if first:
                log = stack.enter_context(run.open_log(length))
                run.tidy(done)
                if done == 0:
                    run.save(0, training.network)
        saved = told = time.monotonic()
        before = done
        for step in range(done, plan.steps):
            with share.waiting():
                loss = training.step(step)
            step += 1
            bar.update()
            if plan.logs(step):
                mean, failed = share.total(np.array([float(loss), failure is not None]))
                if failed:
                    break
                mean = float(mean) / share.processes
                if not math.isfinite(mean):
                    raise ValueError(
                        f"rate must be smaller than {plan.rate}: the loss is {mean} at step {step}"
                    )
                now = time.monotonic()
                if first:
                    rate, decay = training.rates(step - 1)
                    speed = (step - before) * plan.batch / (now - told)
                    line = {"step": step, "loss": mean, "rate": rate, "weight_decay": decay}
                    line["images_per_second"] = round(speed, 1)
                    bar.set_postfix(loss=f"{mean:.3f}", refresh=False)
                told, before = now, step
            if not first or failure:
                continue
            try:
                with files.named(log.name):
                    if plan.logs(step):
                        print(json.dumps(line), file=log)
                    last = step == plan.steps
                    due = time.monotonic() - saved >= save_every or last
                    if due or step in plan.kept:
                        training.check(step)
                    if step in plan.kept:
                        run.save(step, training.network)
                    if due:
                        files.to_disk(
                            log
                        )  # no state without its lines, also when the machine stops
                        run.save(step, training.network, training.optimiser)
                        saved = time.monotonic()
                    if last and done < plan.steps:
                        run.verify(plan.kept)
            except (ValueError, OSError) as error:
                failure = error  # which the others learn at the next meeting
                if share.processes == 1:
                    break
    share.agree(failure)  # the others wait until all is written


@contextmanager
def _gradients(network, part, device, share, workers):
    """Yields a function of a batch that leaves gradients in the parameters and returns the loss."""
    if device.type == "cpu" and share.processes == 1:
        with objectives.workers(workers) as pool:
            yield lambda *batch: objectives.accumulate(network, batch, part, pool)
        return
    on_gpu = device.type == "cuda"
    forward = torch.compile(network) if on_gpu else network
    if share.processes > 1:
        with share.waiting():
            forward = DistributedDataParallel(forward)

    def backward(*batch):
        network.zero_grad(set_to_none=True)
        pieces = list(zip(*(tensor.split(part) for tensor in batch), strict=True))
        total = 0.0
        for number, piece in enumerate(pieces, 1):
            alone = share.processes == 1 or number == len(pieces)
            # the processes meet once a batch
            with nullcontext() if alone else forward.no_sync():
                with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
                    loss = forward(*piece) * (len(piece[0]) / len(batch[0]))
                loss.backward()
            total = total + loss.detach()
        return total

    yield backward


@contextmanager
def _folder(plan, pictures, folder, device, share):
    """The `runs.Folder`, held by the first process, which tells the others if it fails."""
    shown = {"name": pictures.name, "count": len(pictures)}
    several = isinstance(pictures, images.Photographs)
    pixels = pictures.pixels if several else [pictures.pixels]
    shown["digest"] = recorded.digest(*pixels)  # of all: half a second a gigabyte
    identity = dataclasses.asdict(plan) | {"images": shown}
    kind = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    facts = recorded.provenance(plan.seed, time.time(), kind) | {"processes": share.processes}
    del facts["wall_seconds"]
    with ExitStack() as stack:
        with share.agreed():
            if share.rank == 0:
                stack.enter_context(files.alone(folder))
                runs.Folder(folder, identity, facts)
        with share.agreed():  # the others look for it where the first one made it
            run = runs.Folder(folder, identity, facts)
        yield run


def trained(folder, step):
    """A model as it was after some steps of a training.

    Parameters
    ----------
    folder : path
        Of the training.
    step : int
        One of `runs.steps_of(folder)`.

    Returns
    -------
    objectives.ImageObjective
        On the CPU.

    Raises
    ------
    ValueError
        With the file, if there is no such checkpoint or it is damaged.
    """
    identity = runs.identity_of(folder)
    tensors = runs.load(folder, runs.WEIGHTS, step, identity)
    try:
        config = model.Config(**identity["config"])
        network = recipes.recipe(identity["objective"]).model(config, identity["seed"])
    except (KeyError, TypeError, ValueError):
        told = runs.Path(folder) / runs.RUN
        raise ValueError(f"{told} is damaged: it does not tell the model's sizes") from None
    runs.fill(network, tensors, runs.file_of(folder, runs.WEIGHTS, step))
    return network


def parser():
    """The command's arguments."""
    command = _command.Parser(
        "python -m jepabook.vision.train",
        description="Train a vision transformer with JEPA or MAE, or go on with it.",
    )
    add = command.add_argument
    add("--objective", required=True, help="jepa or mae")
    add(
        "--images",
        required=True,
        help="photos, or a folder made by vision.convert",
    )
    add("--preset", required=True, help=f"sizes: {', '.join(model.PRESETS)}")
    add("--out", required=True, help="folder for the log and the models")
    add("--verify", action="store_true", help="compare the checksums of a folder of images first")
    add("--count", type=int, help=f"images ({COUNT}; all of a folder)")
    length = command.add_mutually_exclusive_group(required=True)
    length.add_argument("--steps", type=int, help="of the optimiser")
    length.add_argument("--epochs", type=float, help="passes through the images, instead")
    add("--batch", type=int, default=256, help="images a step (256)")
    add("--part", type=int, default=64, help="images at a time, of each process (64)")
    add("--rate", type=float, help="peak of the learning rate (the recipe's, for this batch)")
    add("--crop", type=float, default=0.3, help="a crop's share of the picture at least (0.3)")
    add("--keep", type=int, default=16, help="models kept, after steps spaced evenly in log (16)")
    add("--seed", type=int, default=0, help="of everything random (0)")
    add("--device", default="auto", help="auto, cpu or cuda (auto)")
    add("--workers", type=int, help="threads on a CPU (one on every core)")
    add("--save-every", type=float, default=60.0, help="seconds between two states (60)")
    add("--patience", type=float, default=PATIENCE, help=WAITING)
    return command


def main(argv=None):
    """Run the command; returns the exit status, 2 for bad input."""

    def work(options):
        with under_torchrun(options.device, options.patience) as share:
            last = _train(options, share)
            if share.rank == 0:
                print(f"loss {last['loss']:.4f} after {last['step']} steps: {options.out}")

    return _command.status(parser(), work, argv, "the same command goes on from here")


def _train(options, share):
    with share.agreed():
        if options.device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, got {options.device!r}")
        gpu = torch.cuda.is_available()
        if options.device == "cuda" and not gpu:
            raise ValueError("device must be cpu or auto where torch sees no GPU, got 'cuda'")
        device = "cuda" if gpu and options.device != "cpu" else "cpu"
        out, config = validate.path("--out", options.out), model.preset(options.preset)
        recipes.recipe(options.objective)
        made = options.images == "photos"
        count = COUNT if made and options.count is None else options.count
        pictures = images.open_images(
            options.images, config.image_size, count, options.seed, verify=options.verify
        )
        steps = options.steps
        if steps is None:
            epochs = validate.number("epochs", options.epochs, validate.positive)
            batch = validate.integer("batch", options.batch)
            steps = max(1, int(epochs * (len(pictures) // batch)))
        chosen = ("batch", "seed", "rate", "crop", "part", "keep")
        plan = Plan(
            options.objective, config, steps, **{name: getattr(options, name) for name in chosen}
        )
        workers = torch.get_num_threads() if options.workers is None else options.workers
    return train(plan, pictures, out, device, share, workers, options.save_every, True)


if __name__ == "__main__":
    sys.exit(main())
