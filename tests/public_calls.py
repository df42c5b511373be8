"""One valid call of every public function, constructor and method that takes arguments.

What is public is found by walking the pages of the reference, see `found`; `test_bad_input` tries
bad values of every argument, and fails where a call is missing here.
"""

import importlib
import inspect
import re
from dataclasses import is_dataclass

import numpy as np
import torch

from jepabook import (
    JEPA,
    FeatureSpectrum,
    generative,
    linear_net,
    minibatch,
    same_minibatches,
    spectrum,
    stream,
)
from jepabook.claims import examples
from jepabook.vision import batches, images, measure, model, objectives, recipes, runs, subspaces
from jepabook.vision import train as training
from tests.book import test_reference as reference

COMMANDS = {"main", "parser"}  # take a command line


def found():
    """Every public function, constructor and method that takes arguments, by its full name.

    Dataclasses that check nothing are left out: they are what functions hand back.
    """
    callables = {}
    for name in reference.modules():
        if reference.left_out(name):
            continue
        module, short = importlib.import_module(name), short_name(name)
        for key, thing in reference.public(module).items():
            if inspect.isfunction(thing) and key not in COMMANDS:
                callables[f"{short}.{key}"] = thing
            elif inspect.isclass(thing):
                record = is_dataclass(thing) and not hasattr(thing, "__post_init__")
                if not (record or inspect.isabstract(thing)):
                    callables[f"{short}.{key}"] = thing
                for own, value in vars(thing).items():
                    if inspect.isfunction(value) and not own.startswith("_"):
                        callables[f"{short}.{key}.{own}"] = value
    return {name: call for name, call in callables.items() if parameters(call)}


def short_name(module):
    """A module's name without the package and, where `from jepabook import` has it, its folder."""
    return re.sub(r"^jepabook\.((theory|training|worlds)\.)?", "", module)


def parameters(call):
    """The names of what a callable takes, and their defaults."""
    taken = inspect.signature(call).parameters.values()
    return {p.name: p.default for p in taken if p.name != "self"}


RNG = np.random.default_rng(0)
EYE, TWO = np.eye(2), FeatureSpectrum([1.0, 1.2], [1.0, 0.6])
LAYERS = np.stack([0.5 * EYE, EYE])
WORLD = generative.two_images(4)
X = RNG.standard_normal((40, 2))
START = {"objective": JEPA, "lam": 1.2, "rho": 0.8, "depth": 2, "epsilon": 0.1}
TARGET = {"rho": 0.8, "depth": 2, "epsilon": 0.1, "target_rate": 1.0}
SIGMAS = {"sigma_xx": 2 * EYE, "sigma_yx": EYE}
PIXELS = RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
CONFIG = model.Config(8, 4, 8, 1, 2, 8, 1, 2, share=0.5)
IMAGES = torch.rand(2, 3, 8, 8)
KEEP, MASKED = torch.tensor([[0, 1], [2, 3]]), torch.tensor([[2, 3], [0, 1]])


def made(*names, of=START, **others):
    """The values of some names, and others."""
    return {name: of[name] for name in names} | others


def theory():
    known = made("lam", "rho")
    return {
        "autocorrelation.components": {"world": WORLD},
        "autocorrelation.basis": {"world": WORLD},
        "autocorrelation.moments": {"world": WORLD, "counts": [2, 3], "seed": 0},
        "autocorrelation.estimate_covariance": {"power": [1.0], "gamma": [0.5], "count": [3]},
        "autocorrelation.shuffled_covariance": {"power": [1.0], "gamma": [0.5], "count": [3]},
        "autocorrelation.long_run_covariance": {"power": [1.0], "gamma": [0.5]},
        "autocorrelation.ratio_moments": {"covariance": EYE, "lam": 1.0, "sigma_squared": 2.0},
        "autocorrelation.off_diagonal": {"world": WORLD, "count": [100]},
        "autocorrelation.learning_time_deviation": made(
            "objective",
            "depth",
            power=[1.0, 0.5],
            gamma=[0.9, 0.0],
            epsilon=0.01,
            frames=100.0,
            shuffled=False,
        ),
        "clock.antiderivative": {"m": 1.5, "log_z": -1.0},
        "clock.difference": {
            "m": 1.5,
            "start": [-2.0],
            "stop": [-1.0],
            "step": [1.0],
            "log_scale": 0.0,
        },
        "clock.inverse": {"m": 1.5, "target": [-3.0]},
        "critical_time.exact": START | {"fraction": 0.5},
        "critical_time.expansion": START | {"fraction": 0.5, "terms": 4},
        "critical_time.expansion_terms": START | {"fraction": 0.5, "terms": 4},
        "critical_time.order": START | {"lam": [1.0, 2.0], "fraction": 0.5},
        "critical_time.inversion_boundary": made(
            "objective", "rho", "depth", rho_other=0.7, epsilon=0.01, fraction=0.5
        ),
        "critical_time.inversion_scales": made(
            "depth", lam_ratio=1.2, rho=1.0, rho_other=0.6, fraction=0.5
        ),
        "critical_time.deep_priority": known | {"gain": 0.1},
        "dynamics.velocity": made("objective", "lam", "rho", "depth", w=0.2),
        "dynamics.fixed_point": made("objective", "rho", "depth"),
        "dynamics.time_to_reach": START | {"w": 0.2},
        "dynamics.trajectory": START | {"t": 3.0},
        "dynamics.relative_gap": START | {"t": 3.0},
        "predictor_rate.final_size": made("rho", "depth", "epsilon", predictor_rate=2.0),
        "predictor_rate.optimal_flow": SIGMAS
        | {"layers": [EYE], "times": [0.0, 1.0], "rtol": 1e-6},
        "joint_embedding.gradient": SIGMAS
        | {"encoder": EYE, "penalty": "moments", "strength": 1.0},
        "joint_embedding.descend": SIGMAS
        | {"layers": LAYERS, "record_at": [0, 2], "penalty": "slices"}
        | {"strength": 1.0, "rate": 0.01},
        "joint_embedding.growth": known | {"strength": 1.0},
        "joint_embedding.code_variance": {"rho": 0.8, "strength": 1.0, "penalty": "moments"},
        "joint_embedding.first_learned": {"lam": [1.0, 1.2], "rho": [1.0, 0.6], "gain": 0.3},
        "slow_noise.mean_autocorrelation": {"gamma": 0.8, "length": 5},
        "slow_noise.remaining_correlation": {"power": 1.0, "gamma": 0.8, "white": 0.3, "length": 5},
        "slow_noise.trajectories": {"power": [1.0], "gamma": [0.8], "white": [0.3]}
        | {"length": 5, "count": 2, "seed": 0},
        "slow_noise.distances": {"frames": np.zeros((2, 3, 2)), "within": True},
        "feature_spectrum.FeatureSpectrum": {"lam": [1.0], "rho": [1.0]},
        "feature_spectrum.FeatureSpectrum.sample": (TWO, {"count": 3, "seed": 0, "noise": 0.1}),
        "feature_spectrum.distribution": {
            "number": 1,
            "count": 3,
            "lam": (0.5, 1.5),
            "rho": (0.5, 1.5),
        },
        "claims.examples.figure_2_families": {"count": 3},
        "lerch.lerch_phi": {"z": 0.5, "a": 0.5},
        "target_network.trajectory": TARGET
        | {"t": [0.0, 1.0], "lam": 1.2, "weight_decay": 0.01, "teacher": 0.1},
        "target_network.critical_time": TARGET | {"lam": 1.2, "fraction": 0.5, "goal": 0.3},
        "target_network.inversion_boundary": TARGET | {"rho_other": 0.7, "fraction": 0.5},
        "target_network.fast_delay": TARGET | {"fraction": 0.5},
        "target_network.slow_trajectory": TARGET | {"t": 1.0},
        "target_network.slow_critical_time": TARGET | {"fraction": 0.5},
        "target_network.behind_teacher": known | {"teacher": 0.5},
        "target_network.generation_size": {"rho": 0.8, "depth": 2, "generation": 1.0},
        "objectives.Objective": {"name": "JEPA", "base_exponent": 3, "targets_encoder": True},
        "objectives.Objective.growth_exponent": (JEPA, {"depth": 2}),
        "objectives.Objective.saturation_power": (JEPA, {"depth": 2}),
        "objectives.Objective.slowdown": (JEPA, {"depth": 2}),
        "objectives.Objective.target": (JEPA, {"encoder": EYE}),
        "objectives.loss": SIGMAS
        | {"objective": JEPA, "encoder": EYE, "decoder": EYE, "sigma_yy": EYE},
        "random_masks.moments": {"excess": 0.5, "level": 1.0, "visible": 0.5},
        "random_masks.features": {"covariance": EYE, "visible": 0.5},
        "random_masks.latest_start": made("objective", "depth"),
        "random_masks.best_share": made("objective", "depth", w=0.1, excess=1.0, level=1.0),
        "random_masks.soonest_share": made(
            "objective", "depth", w=0.1, excess=1.0, level=1.0, epsilon=0.01
        ),
        "random_masks.marchenko_pastur": {"x": [0.5], "ratio": 0.5},
        "claims.examples.patterns": {"visible": 0.25},
        "random_masks.trained_sizes": made(
            "objective", world=examples.patterns(), count=1, record_at=[0, 1], seed=0
        ),
        "loss_curves.split": SIGMAS
        | {"objective": JEPA, "encoder": EYE, "decoder": EYE, "sigma_yy": 2 * EYE},
        "loss_curves.feature_loss": made(
            "objective", "lam", "rho", "depth", w=0.5, variance_y=2.0, target=0.4
        ),
        "loss_curves.turning_correlation": {"depth": 2},
        "loss_curves.turning_sizes": made("lam", "rho", "depth", variance_y=2.0),
        "loss_curves.curve": made("objective", "lam", "rho", "depth", "epsilon")
        | {"t": [0.0, 1.0], "variance_y": 2.0, "weight_decay": 0.01}
        | {"target_rate": 0.5, "teacher": 0.1},
        "normalised_target.gains": {"variances": [1.0, 2.0], "scale": 2.0},
        "normalised_target.final_size": made("lam", "rho", "depth", scale=2.0),
        "normalised_target.trajectory": made("lam", "rho", "depth", "epsilon", scale=2.0)
        | {"t": [0.0, 1.0]},
        "predictor_rate.least_rate": made("lam", "rho", "depth", weight_decay=0.01),
        "predictor_rate.trajectory": made("lam", "rho", "depth", "epsilon", predictor_rate=2.0)
        | {"t": [0.0, 1.0], "weight_decay": 0.01},
        "weight_decay.critical_decay": made("objective", "lam", "rho", "depth"),
        "weight_decay.fixed_points": made("objective", "lam", "rho", "depth", weight_decay=0.01),
        "weight_decay.greatest_decay": START,
        "weight_decay.final_size": START | {"weight_decay": 0.01},
        "weight_decay.trajectory": START | {"t": [0.0, 1.0], "weight_decay": 0.01},
    }


def experiments(folder):
    weights = torch.as_tensor(LAYERS)[:, None]
    settings = linear_net.settings(JEPA, weights, 0.1, target_rate=1.0)
    population = minibatch.Population(2 * EYE, EYE)
    networks = linear_net.Networks(weights, settings, population, None, None)
    views = minibatch.GaussianViews(2 * EYE, EYE, EYE, 3, 0, "samples", torch.float64)
    frames = stream.ConsecutiveFrames(WORLD, 2, 1, 0)
    run = {"weights": weights, "settings": settings, "source": population}
    products = {"product": torch.eye(2)[None].double(), "target": torch.eye(2)[None].double()}
    like = {"dtype": torch.float64, "device": "cpu"}
    gaussian = {"sigma_yy": EYE, "batch": 3, "seed": 0, "draw": "wishart"} | SIGMAS | like
    sizes, times = [[0.1, 0.2], [1.0, 1.0], [2.0, 1.5]], [0.0, 1.0, 2.0]
    path = folder / "file.npz"
    return {
        "checkpoints.identity": {
            "networks": networks,
            "weights": weights,
            "steps": 3,
            "record_at": np.array([0, 3]),
        },
        "checkpoints.save": {"path": path, "state": {"a": torch.zeros(2)}, "identity": {}},
        "checkpoints.resume": {
            "path": folder / "no.npz",
            "state": {"a": torch.zeros(2)},
            "identity": {},
            "record_at": [0, 1],
        },
        "same_minibatches.train_both": {
            "spectrum": TWO,
            "seeds": 1,
            "gains": [0.5],
            "learning_rates": [0.1],
            "depth": 1,
            "batch": 3,
            "steps": 1,
            "record_at": [0, 1],
            "seed": 0,
            "checkpoint": folder / "both.npz",
            "device": "cpu",
        },
        "same_minibatches.decoder_gain": {"weights": weights} | SIGMAS,
        "same_minibatches.DecoderPath.fit": (
            same_minibatches.DecoderPath(*np.ones((3, 1, 1)), np.ones((1, 1, 2))),
            {"spectrum": TWO},
        ),
        "same_minibatches.follow_loss": {
            "spectrum": TWO,
            "objectives": [JEPA],
            "runs": 1,
            "stretches": 2,
            "seed": 0,
            "target_rate": [0.3],
            "steps": 2,
            "depth": 1,
            "rate": 0.01,
            "batch": 4,
        },
        "same_minibatches.follow_decoder": {
            "spectrum": TWO,
            "runs": 1,
            "stretches": 1,
            "seed": 0,
            "steps": 1,
            "depth": 1,
            "rate": 0.03,
        },
        "generative.gaussian_dictionary": {"count": 2, "width": 3, "seed": 0},
        "generative.orthogonal_dictionary": {"count": 2, "width": 3, "seed": 0},
        "generative.sparse_power": {"count": 3, "gamma": 0.5},
        "generative.RandomMasks": {
            "dictionary": EYE,
            "power": [1.0, 2.0],
            "noise": 0.1,
            "visible": 0.5,
        },
        "generative.RandomMasks.sample": (examples.patterns(), {"count": 2, "seed": 0}),
        "generative.masked_covariances": {"covariance": EYE, "visible": 0.5},
        "generative.FlickeringWorld": {
            "images": EYE,
            "gamma": [0.5, 0.6],
            "noise": [1.0, 1.0],
            "region": [0, 1],
            "noise_gamma": [0.0, 0.1],
        },
        "generative.FlickeringWorld.frames": (WORLD, {"count": 3, "seed": 0, "chunk": 2}),
        "generative.FlickeringWorld.sample": (WORLD, {"count": 3, "seed": 0}),
        "generative.two_images": {
            "side": 4,
            "gamma": (0.9, 0.8),
            "noise": (1.0, 0.5),
            "noise_gamma": 0.0,
        },
        "generative.Frames": {"world": WORLD, "seed": 0},
        "generative.Frames.next": (generative.Frames(WORLD, 0), {"count": 2}),
        "learning_order.learned": {"sizes": sizes},
        "learning_order.half_times": {"times": times, "sizes": sizes, "fraction": 0.5},
        "learning_order.doubling_times": {"times": times, "sizes": sizes},
        "learning_order.times_to_size": {"times": times, "sizes": sizes, "size": 0.5},
        "learning_order.first_crossing": {"times": times, "sizes": sizes, "goal": [0.5, 0.5]},
        "learning_order.tau": {"moments": times, "along": times, "never": "last"},
        "learning_order.mean_interval": {"values": times},
        "linear_net.Networks": run
        | {"directions": torch.eye(2).double(), "target_weights": weights[:1]},
        "linear_net.Networks.products_and_residual": (
            networks,
            {"layers": weights, "target_layers": weights[:1]},
        ),
        "linear_net.Networks.sizes": (networks, {"weights": weights}),
        "linear_net.flow": run
        | {
            "times": [0.0, 0.1],
            "directions": torch.eye(2).double(),
            "target_weights": weights[:1],
            "rtol": 1e-6,
            "atol": 1e-6,
            "progress": False,
        },
        "linear_net.initial_weights": like
        | {
            "kind": "gaussian",
            "count": 1,
            "depth": 1,
            "width": 2,
            "gain": 1.0,
            "seed": 0,
            "decoder_depth": 1,
        },
        "linear_net.settings": {
            "objectives": JEPA,
            "like": weights,
            "learning_rate": 0.1,
            "weight_decay": 0.1,
            "target_rate": 1.0,
            "decoder_depth": 1,
        },
        "linear_net.train": run
        | {
            "steps": 1,
            "record_at": [0, 1],
            "directions": torch.eye(2).double(),
            "target_weights": weights[:1],
            "checkpoint": folder / "train.npz",
            "checkpoint_every": 1,
            "progress": False,
        },
        "matrix_flow.product": {"layers": LAYERS},
        "matrix_flow.encoder": {"weights": LAYERS},
        "matrix_flow.feature_sizes": {"weights": LAYERS},
        "matrix_flow.gradient": SIGMAS | {"objective": JEPA, "weights": LAYERS},
        "matrix_flow.aligned_weights": made(
            "objective", "depth", "epsilon", width=2, seed=0, signs=[1.0, -1.0]
        ),
        "matrix_flow.integrate": SIGMAS
        | {"objective": JEPA, "weights": LAYERS, "times": [0.0, 0.1], "rtol": 1e-6, "atol": 1e-6},
        "minibatch.Population": SIGMAS | like,
        "minibatch.Population.residual": (population, products),
        "minibatch.Population.restore": (population, {"state": population.state()}),
        "minibatch.GaussianViews": gaussian,
        "minibatch.GaussianViews.residual": (views, products),
        "minibatch.Minibatches.residual": (minibatch.Pairs(X, X, 3, 0, 1, torch.float64), products),
        "minibatch.Minibatches.restore": (views, {"state": views.state()}),
        "minibatch.Pairs": {"x": X, "y": X, "batch": 3, "seed": 0, "streams": 1} | like,
        "photographs.masked": {
            "images": {"a": np.ones((5, 5))},
            "size": 2,
            "count": 3,
            "visible": 0.5,
            "seed": 0,
        },
        "photographs.neighbours": {
            "images": {"a": np.ones((5, 5))},
            "size": 2,
            "count": 3,
            "seed": 0,
            "gap": 0,
        },
        "photographs.stereo": {"size": 2, "count": 1, "seed": 0},
        "photographs.brightened": {"x": X, "y": X, "spread": 0.1, "seed": 0},
        "recorded.save": {"path": path, "arrays": {"a": X}, "facts": {}, "undefined": ("a",)},
        "recorded.load": {"path": path},
        "recorded.digest": {"arrays": X},
        "recorded.result": {"name": "sgd"},
        "recorded.versions": {"packages": "numpy"},
        "recorded.provenance": {"seed": 0, "started": 0.0, "device": "cpu"},
        "relu_net.encode": {
            "layers": weights[:1],
            "bend": torch.zeros(1, 1, 1).double(),
            "x": torch.zeros(1, 2, 3).double(),
        },
        "relu_net.sizes": {
            "layers": weights[:1],
            "bend": torch.zeros(1, 1, 1).double(),
            "x": torch.ones(2, 3).double(),
        },
        "relu_net.train": {
            "weights": weights,
            "objectives": [JEPA],
            "bend": 0.5,
            "source": views,
            "learning_rate": 0.1,
            "steps": 1,
            "record_at": [0, 1],
            "probe": torch.ones(2, 3).double(),
        },
        "stream.ConsecutiveFrames": {"world": WORLD, "batch": 2, "streams": 1, "seed": 0} | like,
        "stream.ConsecutiveFrames.restore": (frames, {"state": frames.state()}),
        "claims.examples.task": {"width": 3},
        "unaligned_starts.aligned_layers": {
            "objective": JEPA,
            "scales": np.ones((2, 2)),
            "seed": 0,
            "decoder_depth": 1,
        },
        "unaligned_starts.rotation": {"width": 2, "angle": 0.5, "seed": 0},
        "unaligned_starts.loosened": {"weights": LAYERS, "gain": 0.5, "share": 0.5, "seed": 0},
        "deeper_decoder.slowdown": made("objective", "depth", decoder_depth=1),
        "deeper_decoder.fixed_point": made("objective", "rho", "depth", decoder_depth=1),
        "deeper_decoder.critical_time": made(
            "objective", "lam", "rho", "depth", decoder_depth=1, gain=0.1, fraction=0.5
        ),
        "unbalanced.unbalanced_sizes": {
            "objective": JEPA,
            "lam": [1.0],
            "rho": [0.8],
            "scales": [[0.5], [0.5]],
            "times": [0.0, 0.1],
        },
        "unbalanced.balanced_decoder": {"kappa": 0.1, "rho": 0.8, "depth": 2},
        "rests.rest": SIGMAS | {"depth": 1, "rows": EYE, "seed": 0},
        "rests.residual_rates": SIGMAS | {"weights": np.stack([EYE, 0.5 * EYE])},
        "rests.commuting_rates": {
            "lam": [1.0, 1.2],
            "rho": [1.0, 0.6],
            "kept": [0],
            "depth": 2,
        },
        "rests.delay": {"lam": 1.0, "distance": 0.1, "depth": 2},
        "rests.imbalance": {"weights": LAYERS},
        "rests.read_off": {
            "objective": JEPA,
            "times": [1.0, 2.0],
            "sizes": [0.2, 0.3],
            "final": 0.5,
            "depth": 2,
        },
        "noncommuting.features_along": SIGMAS | {"basis": EYE},
        "noncommuting.joint_basis": SIGMAS,
        "noncommuting.candidate_bases": SIGMAS | {"share": 0.5},
        "rests.final_encoder": SIGMAS | {"objective": JEPA, "depth": 1},
        "rests.final_gram": SIGMAS | {"objective": JEPA, "depth": 1},
        "learning_order.agreement": {"half": times, "due": times},
        "learning_order.size_at": {"levels": times, "values": times, "threshold": 1.5},
    }


def data():
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    estimate = spectrum.estimate(X, X + 0.1 * X**2, device="cpu", replicates=4, groups=4)
    predicted = spectrum.predict(estimate, depth=2, epsilon=0.01)
    both = {"spectrum": estimate, "prediction": predicted}
    many = RNG.standard_normal((64, 2))
    grouped = spectrum.estimate(many, many + 0.1 * many**2, device="cpu", groups=8)
    classes = np.arange(len(many)) % 2
    stand = spectrum.label_shares(grouped, many, classes)
    drawn = {"pictures": RNG.random((3, 4, 4)), "count": 5, "seed": 0}
    axes = plt.figure().subplots(1, 2)
    plt.close("all")
    return {
        "claims.run": {"ids": ["eq:1"]},
        "claims.verify": {"ids": "eq:1"},
        "figures.palette": {"objective": JEPA},
        "figures.shades": {"objective": JEPA, "values": [1.0, 2.0]},
        "figures.trajectories": START
        | {"lam": [1.2], "rho": [0.8], "ax": axes[0], "shade_by": [1.0], "t_max": 3.0},
        "tables.table": {"head": ["L"], "rows": [[1.5]], "formats": ["{:.1f}"]},
        "figures.half_time_span": START | {"margin": 1.5},
        "spectrum.Prediction.order": (predicted, {"objective": JEPA}),
        "spectrum.Prediction.near": (predicted, {"objective": JEPA}),
        "spectrum.Prediction.undisturbed": (predicted, {"objective": JEPA}),
        "spectrum.Prediction.ranks": (predicted, {"objective": JEPA}),
        "spectrum.Spectrum.interval": (estimate, {"replicates": estimate.lam_replicates}),
        "spectrum.Labels.curve": (stand, {"prediction": predicted, "objective": JEPA}),
        "spectrum.Labels.place": (stand, {"prediction": predicted, "objective": JEPA, "part": 0.5}),
        "spectrum.label_shares": {
            "spectrum": grouped,
            "x": many,
            "labels": classes,
            "clusters": None,
            "share": None,
        },
        "spectrum.draw_labels": {"ax": axes[0], "labels": stand, "prediction": predicted},
        "views.random_masks": drawn | {"visible": 0.5, "patch": 2},
        "views.block_masks": drawn
        | {
            "blocks": 2,
            "share": (0.2, 0.3),
            "aspect": (1.0, 1.5),
            "context": (0.8, 1.0),
            "patch": 1,
        },
        "views.crops": drawn | {"size": 2, "scale": (0.3, 1.0)},
        "views.jitter": drawn | {"spread": 0.1},
        "views.frames": {"pictures": drawn["pictures"], "clips": [0, 0, 0], "gap": 1},
        "spectrum.draw": both | {"axes": axes},
        "spectrum.estimate": {
            "x": X,
            "y": X,
            "clusters": None,
            "centred": True,
            "groups": 4,
            "replicates": 3,
            "confidence": 0.9,
            "seed": 0,
            "device": "cpu",
            "share": None,
            "progress": False,
        },
        "spectrum.predict": {"spectrum": estimate, "depth": 2, "epsilon": 0.01, "fraction": 0.5},
        "spectrum.table": both | {"labels": stand},
        "watch.embeddings": {
            "checkpoints": [np.stack([X, X]), np.stack([X, 2 * X])],
            "clusters": np.arange(40),
            "groups": 4,
            "confidence": 0.9,
        },
        "watch.log": {
            "loss": np.linspace(1, 2, 100),
            "variance": np.linspace(1, 2, 100),
            "since": 0.1,
            "confidence": 0.9,
        },
    }


def vision(folder):
    config, generator = CONFIG, torch.Generator().manual_seed(0)
    mae, jepa = objectives.ImageMAE(config), objectives.ImageJEPA(config)
    base = objectives.ImageObjective(config, 3, 0)
    pictures = images.ImageSet("some", PIXELS, {}, {})
    split = subspaces.fit(PIXELS, device="cpu")
    colours = batches.colours(PIXELS)
    shown = measure.stimuli(pictures, split, colours)
    few = batches.Batches(PIXELS, config, 2, 0)
    at = {"step": 0, "rank": 0, "processes": 1}
    plan = {"objective": "mae", "config": config, "steps": 1, "batch": 2, "seed": 0}
    plan |= {"rate": 0.1, "crop": 0.5, "part": 1, "keep": 1, "spacing": "even"}
    plan |= {"warmup": 0.5, "momentum": None, "jitter": 0.1}
    ready = training.Plan(**plan)
    training.train(ready, pictures, folder / "run")
    codes = torch.rand(6, 3)
    alike = {"x": codes, "y": X[:6], "device": "cpu"}
    tokens = torch.rand(2, 2, 8)
    whole = {"images": IMAGES, "keep": KEEP, "masked": MASKED, "others": IMAGES}
    at_masks = {"images": IMAGES, "masked": MASKED}
    predicted = {"predicted": torch.rand(2, 2, 3), "target": torch.rand(2, 2, 3)}
    encoded = {"images": IMAGES, "pool": "mean", "online": False}
    crops = {"size": 4, "count": 2, "seed": 0}
    return {
        "vision.batches.Batches": {
            "pixels": PIXELS,
            "config": config,
            "batch": 2,
            "seed": 0,
            "crop": 0.5,
            "jitter": 0.1,
            "device": "cpu",
        },
        "vision.batches.Drawn": {
            "config": config,
            "batch": 2,
            "seed": 0,
            "jitter": 0.1,
            "device": "cpu",
        },
        "vision.batches.Drawn.at": (few, at),
        "vision.batches.FreshBatches": {
            "photographs": [PIXELS[0]],
            "config": config,
            "batch": 2,
            "seed": 0,
            "jitter": 0.1,
            "device": "cpu",
        },
        "vision.batches.colours": {"pixels": PIXELS, "most": 3},
        "vision.batches.prepared": {
            "pixels": torch.from_numpy(PIXELS),
            "mean": colours[0],
            "deviation": colours[1],
        },
        "vision.batches.random_boxes": {"count": 2, "least": 0.5, "generator": generator},
        "vision.batches.cropped": {"pictures": IMAGES, "boxes": torch.rand(2, 4)},
        "vision.images.open_images": crops | {"words": "photos", "verify": False},
        "vision.images.photographs": crops | {"split": "train", "largest": None},
        "vision.images.read": {"words": "photos", "size": 4, "most": 2},
        "vision.images.resident": {"pixels": PIXELS, "device": "cpu"},
        "vision.images.take": {"pixels": PIXELS, "rows": torch.tensor([0, 1]), "device": "cpu"},
        "vision.measure.stimuli": {"pictures": pictures, "split": split, "colours": colours},
        "vision.measure.representations": {
            "network": mae,
            "shown": shown,
            "online": False,
            "seed": 0,
            "device": "cpu",
            "block": 4,
        },
        "vision.measure.effective_rank": {"x": codes},
        "vision.measure.probe": {
            "train": codes,
            "train_labels": [0, 1, 0, 1, 0, 1],
            "test": codes,
            "test_labels": [0, 1, 0, 1, 0, 1],
        },
        "vision.model.Config": vars(config),
        "vision.model.kept_patches": {"patches": 4, "share": 0.5},
        "vision.model.preset": {"name": "toy"},
        "vision.model.random_masks": {
            "count": 2,
            "patches": 4,
            "share": 0.5,
            "generator": generator,
            "device": "cpu",
        },
        "vision.model.patchify": {"images": IMAGES, "size": 4},
        "vision.model.pick": {"tokens": torch.rand(2, 4, 8), "indices": KEEP},
        "vision.model.positions": {"side": 2, "width": 8},
        "vision.model.Block": {"width": 8, "heads": 2, "mlp_ratio": 2},
        "vision.model.Block.forward": (model.Block(8, 2, 2), {"tokens": tokens, "last": 1}),
        "vision.model.Encoder": {"config": config},
        "vision.model.Encoder.forward": (mae.encoder, {"images": IMAGES, "keep": KEEP}),
        "vision.model.Predictor": {"config": config, "out_width": 3},
        "vision.model.Predictor.forward": (
            mae.predictor,
            {"tokens": tokens, "keep": KEEP, "masked": MASKED},
        ),
        "vision.model.initialise": {"module": torch.nn.Linear(2, 2), "generator": generator},
        "vision.model.decay_groups": {"model": torch.nn.Linear(2, 2), "weight_decay": 0.1},
        "vision.objectives.ImageObjective": {"config": config, "out_width": 3, "seed": 0},
        "vision.objectives.ImageObjective.after_step": (base, {"progress": 0.5}),
        "vision.objectives.ImageObjective.encode": (base, encoded),
        "vision.objectives.ImageObjective.forward": (mae, whole),
        "vision.objectives.ImageObjective.loss": (mae, {"images": IMAGES, "generator": generator}),
        "vision.objectives.ImageMAE": {"config": config, "seed": 0, "normalise": True},
        "vision.objectives.ImageMAE.target_at": (mae, at_masks),
        "vision.objectives.ImageMAE.distance": (mae, predicted),
        "vision.objectives.ImageJEPA": {"config": config, "seed": 0, "momentum": (0.9, 1.0)},
        "vision.objectives.ImageJEPA.after_step": (jepa, {"progress": 0.5}),
        "vision.objectives.ImageJEPA.target_at": (jepa, at_masks),
        "vision.objectives.ImageJEPA.distance": (jepa, predicted),
        "vision.objectives.workers": {"count": 1},
        "vision.objectives.accumulate": {
            "objective": mae,
            "batch": (IMAGES, KEEP, MASKED),
            "part": 1,
            "pool": objectives.workers(1),
        },
        "vision.recipes.recipe": {"name": "mae"},
        "vision.recipes.learning_rate": {
            "recipe": recipes.recipe("mae"),
            "peak": 0.1,
            "step": 0,
            "steps": 3,
        },
        "vision.recipes.weight_decay": {"recipe": recipes.recipe("mae"), "step": 0, "steps": 3},
        "vision.runs.steps_of": {"folder": folder / "run", "kind": "weights"},
        "vision.runs.load": {
            "folder": folder / "run",
            "kind": "weights",
            "step": 1,
            "identity": runs.identity_of(folder / "run"),
        },
        "vision.runs.hours": {"lines": runs.log_of(folder / "run"), "batch": 2},
        "vision.runs.log_of": {"folder": folder / "run"},
        "vision.runs.file_of": {"folder": folder / "run", "kind": "weights", "step": 1},
        "vision.similarity.mean_cca": alike | {"tolerance": 1e-6},
        "vision.similarity.projection_weighted_cca": alike | {"tolerance": 1e-6},
        "vision.similarity.svcca": alike | {"share": 0.9},
        "vision.similarity.linear_cka": alike,
        "vision.similarity.chance_of_cca": {"p": 2, "q": 3, "n": 9, "nodes": 10},
        "vision.subspaces.fit": {"pixels": PIXELS, "bottom": 0.25, "device": "cpu", "block": 4},
        "vision.subspaces.project": {
            "subspaces": split,
            "pixels": PIXELS,
            "which": "top",
            "block": 4,
        },
        "vision.train.Plan": plan,
        "vision.train.Plan.batches": (ready, {"pictures": pictures, "device": "cpu"}),
        "vision.train.Plan.logs": (ready, {"step": 1}),
        "vision.train.train": {
            "plan": ready,
            "pictures": pictures,
            "folder": folder / "run",
            "device": "cpu",
            "share": None,
            "workers": 1,
            "save_every": 1.0,
            "progress": False,
        },
        "vision.train.trained": {"folder": folder / "run", "step": 1},
    }


def all_calls(folder):
    """The calls by name: keyword arguments, or for methods a pair with the object first."""
    return theory() | experiments(folder) | data() | vision(folder)
