"""Helper package of the book *How JEPA avoids noisy features, reproduced*.

The public modules can be had from here, whatever folder they stand in: ``from jepabook import
dynamics``. Each is imported when it is asked for. `theory` and `worlds` need NumPy and SciPy only;
what else a folder needs is said in its docstring.
"""

from importlib import import_module

from jepabook._support import command

__version__ = "0.1.0"

command.begin()

_HOMES = {
    "theory": (
        "clock",
        "critical_time",
        "deeper_decoder",
        "dynamics",
        "feature_spectrum",
        "joint_embedding",
        "lerch",
        "loss_curves",
        "matrix_flow",
        "noncommuting",
        "normalised_target",
        "objectives",
        "predictor_rate",
        "rests",
        "target_network",
        "unaligned_starts",
        "unbalanced",
        "weight_decay",
    ),
    "worlds": (
        "autocorrelation",
        "generative",
        "photographs",
        "random_masks",
        "slow_noise",
        "views",
    ),
    "training": (
        "checkpoints",
        "learning_order",
        "linear_net",
        "minibatch",
        "networks",
        "relu_net",
        "same_minibatches",
        "stream",
    ),
}
_MODULES = {name: f"jepabook.{folder}.{name}" for folder, names in _HOMES.items() for name in names}
_OBJECTS = {"JEPA": "objectives", "MAE": "objectives", "FeatureSpectrum": "feature_spectrum"}
_REST = ("figures", "recorded", "spectrum", "tables", "vision", "watch")

__all__ = [*_OBJECTS, *(name for names in _HOMES.values() for name in names), *_REST]


def __getattr__(name):
    if name in _OBJECTS:
        return getattr(import_module(_MODULES[_OBJECTS[name]]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'jepabook' has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
