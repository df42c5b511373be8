"""Bad input is refused in one line with the argument's name, its value and what is allowed; good
input of every kind is accepted, in silence and unchanged.

pyproject.toml turns every warning into an error, so each call below also shows that none leaks.
"""

import collections
import inspect
import itertools
import re
import signal
import warnings
from contextlib import contextmanager
from decimal import Decimal
from fnmatch import fnmatch
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas
import pytest
import scipy.sparse
import torch

from jepabook import (
    JEPA,
    MAE,
    FeatureSpectrum,
    autocorrelation,
    critical_time,
    deeper_decoder,
    dynamics,
    feature_spectrum,
    generative,
    lerch,
    matrix_flow,
    objectives,
    random_masks,
    rests,
    target_network,
    unaligned_starts,
    unbalanced,
    weight_decay,
)
from jepabook._support import memory
from jepabook.claims import examples
from tests import public_calls

CALLS = public_calls.found()


class MakesAMask:
    """As variables of netCDF files do."""

    def __array__(self, dtype=None, copy=None):
        return np.ma.array([1.0, 2.0], mask=[False, True])


def junk():
    """Values that are right for no argument at all, by what they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantized = torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.quint8)
        nested = torch.nested.nested_tensor([torch.ones(2)])
    endless = []
    endless.append(endless)
    return {
        "an object": object(),
        "a function": junk,
        "a class": float,
        "...": ...,
        "a set": {1.0},
        "a generator": (x for x in [1.0]),
        "masked": np.ma.masked,
        "a masked array": np.ma.array([1.0, 2.0], mask=[False, True]),
        "a masked integer": np.ma.array(1, mask=True),
        "masked arrays in a list": [np.ma.array([1.0, 2.0], mask=[False, True])],
        "what makes a masked array": MakesAMask(),
        "a complex number": 1j,
        "complex numbers": np.array([1.0, 2.0j]),
        "bytes": b"3",
        "a bytearray": bytearray(b"33"),
        "a decimal": Decimal("1.5"),
        "fractions": [Fraction(1, 2)],
        "a time": np.datetime64("2020"),
        "spans of time": np.array([1, 2], "m8[s]"),
        "records": np.zeros(2, [("a", float)]),
        "objects": np.array([1.0, None]),
        "a ragged list": [[1.0], [1.0, 2.0]],
        "a list of itself": endless,
        "truth values": np.array([True, False]),
        "a truth value in a list": [1.0, True],
        "a huge integer": 10**400,
        "an integer too long to print": 10**5000,
        "huge integers": [1.0, 10**400],
        "a long double": np.array(["1e4000"], np.longdouble),
        "not known": pandas.Series([1, None], dtype="Int64"),
        "a sparse matrix": scipy.sparse.eye(2),
        "a sparse array": scipy.sparse.eye_array(2),
        "NaN": np.nan,
        "more than fits in memory": np.broadcast_to(1.0, (10**6, 10**7)),
        "a tensor with a gradient": torch.ones(2, requires_grad=True),
        "a number with a gradient": torch.tensor(1.0, requires_grad=True),
        "tensors with a gradient": [torch.tensor(1.0, requires_grad=True)],
        "a sparse tensor": torch.eye(2).to_sparse(),
        "a quantized tensor": quantized,
        "nested tensors": nested,
        "a tensor without memory": torch.ones(2, device="meta"),
        "a complex tensor": torch.tensor([1j]),
    }


#: For arguments whose valid value is of a type: values of others that may be mistaken for it.
MISTAKEN = {
    bool: [None, 0, 1.0, "yes", np.int64(1), [True]],
    int: [None, True, np.True_, 2.0, np.float64(2), "3", [2], np.array([2]), -1, 2**63, 2**64],
    float: [None, True, "3", np.inf, [1.0, "a"], [None]],
    str: [None, True, 3, "no such thing", ["cpu"], Path("x")],
    Path: [None, True, 3, "", "a\0b", ["a"]],
    dict: [None, True, 3, "x", [1.0]],
    object: [None, True, 3, "x", [1.0], {}],
}
NUMBERS = (float, list, tuple, np.ndarray)
NOT_A_NUMBER = {"NaN", "not known", "float inf"}  # how what did not happen is recorded
GRADIENT = {"a tensor with a gradient", "a number with a gradient", "tensors with a gradient"}
NUMBERS_OF_ALL_KINDS = NOT_A_NUMBER | {
    "a complex number",
    "complex numbers",
    "truth values",
    "a truth value in a list",
    "a long double",
    "more than fits in memory",
    "a complex tensor",
    "bool True",
}
#: Where a value above is right, by argument.
RIGHT = {
    "*.seed": {f"int {2**63}", "list [2]"},
    "learning_order.*.sizes": NOT_A_NUMBER,
    "learning_order.first_crossing.goal": NOT_A_NUMBER,
    "learning_order.mean_interval.values": NOT_A_NUMBER,
    "learning_order.tau.moments": NOT_A_NUMBER,
    "learning_order.agreement.*": NOT_A_NUMBER,
    "learning_order.size_at.values": NOT_A_NUMBER,
    "linear_net.settings.target_rate": {"float inf"},
    "same_minibatches.follow_loss.target_rate": {"float inf"},
    "clock.inverse.target": {"float inf"},
    "target_network.generation_size.generation": {"float inf"},
    "objectives.Objective.name": {"str 'no such thing'"},
    "recorded.digest.arrays": NUMBERS_OF_ALL_KINDS,
    "recorded.versions.packages": {"str 'no such thing'"},
    "recorded.provenance.device": {"str 'no such thing'"},
    "spectrum.Spectrum.interval.replicates": NOT_A_NUMBER,
    "tables.table.caption": {"str 'no such thing'"},
    "linear_net.Networks.directions": {"NoneType None"},
    "linear_net.Networks.target_weights": {"NoneType None"},
}


#: How errors call an argument whose name tells a reader less.
CALLED = {
    "vision.images.open_images.words": "images",
    "vision.images.read.words": "images",
    "vision.model.preset.name": "preset",
    "vision.recipes.recipe.name": "objective",
}
#: What takes no values of these kinds: commands' own, and what reads the command line.
LEFT_OUT = (
    "claims.ledger",
    "recorded.refuse_arguments",
    "recorded.script",
    "vision.images.convert",
    "vision.images.opened",
    "vision.runs",
)


def kind(value):
    """The key of `MISTAKEN` for an argument whose valid value is this."""
    if isinstance(value, NUMBERS):
        return float
    return next((k for k in (bool, int, str, Path, dict) if isinstance(value, k)), object)


@contextmanager
def soon():
    """Stops what would be endless, where the system can."""

    def stop(*_):
        raise TimeoutError("still running after ten seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def said(call, valid, argument, value):
    """What a call says to a value of one argument; None if it takes it."""
    changed = dict(valid)
    changed[argument] = value
    parameters = inspect.signature(call).parameters
    several = [changed.pop(n) for n, p in parameters.items() if p.kind is p.VAR_POSITIONAL]
    try:
        with soon():
            call(*several, **changed)
    except ValueError as error:
        return str(error)
    return None


def names_it(message, names, value):
    """Whether a message names an argument, or a file by its path."""
    told = value if isinstance(value, str) else ""
    named = any(re.search(rf"\b{name}\b", message) for name in names)
    return named or (told and told in message)


def faults(name, call, valid, values):
    """What is wrong with the answers to bad values of every argument of a call."""
    found = []
    for argument in valid:
        for what, value in values(argument).items():
            try:
                message = said(call, valid, argument, value)
            except Exception as error:
                told = " ".join(str(error).split())[:100]
                found.append(f"{name}({argument}: {what}): {type(error).__name__}: {told}")
                continue
            if message is None:
                found.append(f"{name}({argument}: {what}): taken")
                continue
            names = [CALLED.get(f"{name}.{argument}", argument), *valid]
            if "\n" in message or len(message) > 400 or not names_it(message, names, value):
                found.append(f"{name}({argument}: {what}): {message!r}")
    return found


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Each public callable with its valid arguments."""
    known = public_calls.all_calls(tmp_path_factory.mktemp("calls"))
    bound = {}
    for name, entry in known.items():
        if isinstance(entry, tuple):
            bound[name] = getattr(entry[0], name.rpartition(".")[2]), entry[1]
        else:
            bound[name] = CALLS.get(name), entry
    return bound


def test_every_public_function_has_a_valid_call_with_every_argument(calls):
    left_out = {n for n in CALLS if any(n.startswith(prefix) for prefix in LEFT_OUT)}
    missing = set(CALLS) - left_out - set(calls)
    assert not missing, "give these a valid call in tests/public_calls.py"
    assert not set(calls) - set(CALLS), "these are not public"
    for name, (_, valid) in calls.items():
        assert set(valid) == set(public_calls.parameters(CALLS[name])), name


def test_valid_calls_succeed(calls):
    for name, (call, valid) in calls.items():
        assert said(call, valid, next(iter(valid)), next(iter(valid.values()))) is None, name


def right(name, argument, what):
    return any(
        what in allowed
        for pattern, allowed in RIGHT.items()
        if fnmatch(f"{name}.{argument}", pattern)
    )


def bad_values(name, valid, argument):
    """Values that an argument must not take, by what they are."""
    mistaken = MISTAKEN[kind(valid[argument])]
    default = public_calls.parameters(CALLS[name])[argument]
    known = junk() | {f"{type(v).__name__} {v!r}": v for v in mistaken}
    return {
        what: value
        for what, value in known.items()
        if not right(name, argument, what) and not (value is None and default is None)
    }


@pytest.mark.parametrize("module", sorted({name.rpartition(".")[0] for name in CALLS}))
def test_what_is_right_for_no_argument_is_refused_by_all(calls, module):
    found = []
    for name, (call, valid) in calls.items():
        if name.rpartition(".")[0] == module:
            found += faults(name, call, valid, lambda a, n=name, v=valid: bad_values(n, v, a))
    assert not found, "\n".join(["", *found[:40]])


# the scalar theory: each value that is not allowed is shown, and each kind that is gives the same

COMMON = {"lam": 1.2, "rho": 0.8, "depth": 2}
START = COMMON | {"epsilon": 0.1}
FUNCTIONS = {
    "velocity": (dynamics.velocity, {"w": 0.2} | COMMON),
    "fixed_point": (dynamics.fixed_point, {"rho": 0.8, "depth": 2}),
    "time_to_reach": (dynamics.time_to_reach, {"w": 0.2} | START),
    "trajectory": (dynamics.trajectory, {"t": 3.0} | START),
    "relative_gap": (dynamics.relative_gap, {"t": 3.0} | START),
    "exact": (critical_time.exact, START | {"fraction": 0.5}),
    "expansion": (critical_time.expansion, START | {"fraction": 0.5, "terms": 4}),
    "expansion_terms": (critical_time.expansion_terms, START | {"fraction": 0.5, "terms": 4}),
}
NO_NUMBERS = [1j, "3", None, [1.0, "a"], object(), [[1.0], [1.0, 2.0]], True]
NOT_POSITIVE = [0, -1.0, np.nan, np.inf, -np.inf, [0.5, -2.0], np.array([[1.0, np.nan]])]
BAD = {
    "w": [-1.0, np.nan, np.inf, -np.inf, [0.5, np.nan], *NO_NUMBERS],
    "t": [np.nan, np.inf, -np.inf, [0.0, np.nan], *NO_NUMBERS],
    "lam": NOT_POSITIVE + NO_NUMBERS,
    "rho": NOT_POSITIVE + NO_NUMBERS,
    "epsilon": NOT_POSITIVE + NO_NUMBERS,
    "depth": [0, -3, 1.5, 5.0, np.float64(2), True, np.True_, "3", None, [2], np.arange(99)],
    "fraction": [0, 1, 1.0, -0.1, 1.5, np.nan, np.inf, [0.5, 1.0], *NO_NUMBERS],
    "terms": [0, -1, 1.5, 2.0, True, "3", [2]],
}
ALLOWED = {
    "depth": "must be an integer >= 1",
    "terms": "must be an integer >= 1",
}


def call(name, objective=JEPA, **changes):
    function, arguments = FUNCTIONS[name]
    return function(objective, **(arguments | changes))


def message_of(function, *args, **kwargs):
    with pytest.raises(ValueError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def shows(message, value):
    """Whether the message holds the bad value, or for an array one of its entries."""
    if isinstance(value, (list, np.ndarray)):
        numbers = [x for x in np.ravel(np.asarray(value, dtype=object)) if np.isscalar(x)]
        if any(str(x) in message for x in numbers):
            return True
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value) in message or str(float(value)) in message
    return "got " in message and repr(value).split("\n")[0][:60] in message


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_bad_argument_is_named_with_its_value_and_what_is_allowed(name):
    for argument in FUNCTIONS[name][1]:
        for value in BAD[argument]:
            for objective in (JEPA, MAE):
                message = message_of(call, name, objective, **{argument: value})
                assert "\n" not in message and len(message) < 250
                assert message.startswith(argument + " must ")
                assert shows(message, value), message
                assert ALLOWED.get(argument, "") in message


def test_w_equal_to_zero_is_refused_where_the_time_would_be_minus_infinity():
    assert message_of(call, "time_to_reach", w=0.0) == "w must be positive and finite, got 0.0"


@pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
def test_epsilon_at_or_above_the_fixed_point_is_refused_also_exactly_at_it(objective):
    for name in (name for name, (_, known) in FUNCTIONS.items() if "epsilon" in known):
        for rho, depth in ((0.25, 2), (1.0, 1), (1.0, 40), (0.0625, 3)):
            top = rho**depth if objective is JEPA else rho ** (depth / (depth + 1))
            exact = objective is JEPA or rho == 1.0 or depth == 3
            for epsilon in ([top] if exact else []) + [top * (1 + 1e-15), 2 * top, 1e300]:
                message = message_of(call, name, objective, rho=rho, depth=depth, epsilon=epsilon)
                allowed = (
                    f"epsilon must lie in (0, fixed_point({objective}, rho, depth={depth})), got "
                )
                assert message == allowed + str(float(epsilon))
            call(name, objective, rho=rho, depth=depth, epsilon=top * (1 - 1e-15))


def test_the_first_bad_entry_of_an_array_is_shown_with_its_index():
    epsilon = np.array([[0.1, 0.2], [0.9, 0.3]])
    message = message_of(call, "trajectory", epsilon=epsilon)
    assert message.endswith("got 0.9 at index (1, 0)")
    message = message_of(call, "exact", fraction=[0.5, 0.2, 1.0])
    assert message == "fraction must lie in (0, 1), got 1.0 at index (2,)"


def test_shapes_that_do_not_broadcast_are_all_named():
    for name in (n for n, (_, known) in FUNCTIONS.items() if "lam" in known):
        message = message_of(call, name, lam=np.ones(2), rho=np.ones(3))
        assert message.startswith("shapes must broadcast against each other, got ")
        assert "lam (2,)" in message and "rho (3,)" in message and "\n" not in message


def test_integers_lists_and_other_dtypes_give_what_floats_give():
    for name, objective in itertools.product(FUNCTIONS, (JEPA, MAE)):
        whole = {"w": 1, "t": 1, "lam": 2, "rho": 3, "epsilon": 1, "fraction": 0.5}
        arguments = FUNCTIONS[name][1]
        changes = {k: v for k, v in whole.items() if k in arguments}
        right = call(name, objective, **{k: float(v) for k, v in changes.items()})
        np.testing.assert_array_equal(call(name, objective, **changes), right)
        lists = call(name, objective, **{k: [v] for k, v in changes.items()})
        np.testing.assert_array_equal(lists[..., 0], right)
        kinds = [np.int8, np.uint64, np.float16, np.float32, ">f8"]
        for kind in kinds:
            arrays = {k: np.array([v], dtype=kind) for k, v in changes.items() if k != "fraction"}
            result = call(name, objective, **arrays)
            assert result.dtype == np.float64
            np.testing.assert_array_equal(result[..., 0], right)
        for depth in (np.int64(2), np.uint8(2), np.array(2)):
            np.testing.assert_array_equal(call(name, objective, **changes, depth=depth), right)


def test_inputs_are_not_modified_and_may_be_read_only():
    for name, objective, depth in itertools.product(FUNCTIONS, (JEPA, MAE), (1, 2)):
        arguments = {
            k: v if k in ("depth", "terms") else np.full((2, 3), v)
            for k, v in (FUNCTIONS[name][1] | {"depth": depth}).items()
        }
        arrays = [v for v in arguments.values() if isinstance(v, np.ndarray)]
        copies = [v.copy() for v in arrays]
        first = call(name, objective, **arguments)
        for array, copy in zip(arrays, copies, strict=True):
            np.testing.assert_array_equal(array, copy)
            array.flags.writeable = False
        second = call(name, objective, **arguments)
        np.testing.assert_array_equal(first, second)
        assert not any(np.shares_memory(first, array) for array in arrays)


def test_empty_arrays_give_empty_arrays():
    for name, objective, depth in itertools.product(FUNCTIONS, (JEPA, MAE), (1, 3)):
        arguments = FUNCTIONS[name][1]
        for argument in arguments:
            if argument not in ("depth", "terms"):
                result = call(name, objective, **{"depth": depth, argument: np.empty((0, 2))})
                assert result.shape[-2:] == (0, 2)


def test_lerch_phi_refuses_bad_z_and_a():
    bad = {
        "z": [-0.1, 1, 1.0, 2, np.nan, np.inf, [0.5, 1.0], *NO_NUMBERS],
        "a": [0, -1, -7.0, -2e4, 1.0001, 2, np.nan, np.inf, -np.inf, *NO_NUMBERS],
    }
    for argument, values in bad.items():
        for value in values:
            message = message_of(lerch.lerch_phi, **({"z": 0.5, "a": 0.5} | {argument: value}))
            assert message.startswith(f"{argument} must ") and "\n" not in message
            assert shows(message, value)
    message = message_of(lerch.lerch_phi, np.zeros(2), np.full(3, 0.5))
    assert message.endswith("got z (2,), a (3,)")


def test_feature_spectrum_refuses_bad_lam_and_rho():
    for argument in ("lam", "rho"):
        for value in NOT_POSITIVE + NO_NUMBERS:
            known = {"lam": [1.0], "rho": [1.0]} | {argument: value}
            message = message_of(FeatureSpectrum, **known)
            assert message.startswith(argument + " must ") and "\n" not in message
            assert shows(message, value)


def test_feature_spectrum_refuses_shapes_that_are_not_one_dimensional():
    assert "(2,)" in message_of(FeatureSpectrum, [1.0, 2.0], [1.0, 2.0, 3.0])
    assert "(2, 2)" in message_of(FeatureSpectrum, np.ones((2, 2)), 1.0)


def test_samples_and_distributions_refuse_bad_counts_numbers_and_noise():
    spectrum = FeatureSpectrum([1.0], [1.0])
    for count in (0, -1, 1.5, "3", True, None):
        message = message_of(feature_spectrum.distribution, 1, count)
        assert message == f"count must be an integer >= 1, got {count!r}"
        assert message_of(spectrum.sample, count, 0) == message
    for number in (0, 3, "1", None, True, 1.0):
        assert message_of(feature_spectrum.distribution, number, 3).startswith(
            "number must be an integer"
        )
    for noise in (-1.0, np.nan, np.inf, "a"):
        assert message_of(spectrum.sample, 3, 0, noise=noise).startswith("noise must ")
    assert message_of(feature_spectrum.distribution, 1, 3, lam=(0, 1)).startswith(
        "lam must be positive"
    )


@pytest.mark.parametrize(
    ("argument", "value", "start"),
    [
        ("depth", 0, "depth must be an integer >= 1, got 0"),
        ("depth", 2.0, "depth must be an integer >= 1, got 2.0"),
        ("width", 1, "width must be an integer >= 2, got 1"),
        ("width", "4", "width must be an integer >= 2, got '4'"),
        ("epsilon", 0, "epsilon must be positive and finite, got 0.0"),
        ("epsilon", np.nan, "epsilon must not be NaN, got nan"),
        ("epsilon", [0.1, 0.1, 0.1], "epsilon must be one number and signs one or 3, got epsilon"),
        ("signs", 0.5, "signs must be 1 or -1, got 0.5"),
        ("signs", [1, 1, 0], "signs must be 1 or -1, got 0.0 at index (2,)"),
        ("signs", [1, -1], "epsilon must be one number and signs one or 3, got epsilon"),
    ],
)
def test_aligned_weights_refuses_bad_arguments(argument, value, start):
    arguments = {"depth": 2, "width": 3, "epsilon": 0.1, "seed": 0, "signs": 1.0}
    message = message_of(matrix_flow.aligned_weights, JEPA, **(arguments | {argument: value}))
    assert message.startswith(start) and "\n" not in message


@pytest.mark.parametrize("times", [[], [1.0, 0.5], [0.0, 0.0], [-1.0, 1.0], [np.nan], [[0.0, 1.0]]])
def test_integrate_refuses_bad_times(times):
    weights = matrix_flow.aligned_weights(JEPA, depth=1, width=2, epsilon=0.1, seed=0)
    message = message_of(matrix_flow.integrate, JEPA, weights, np.eye(2), np.eye(2), times)
    assert message.startswith("times must ") and "\n" not in message


def test_objectives_refuse_a_bad_depth():
    for method in ("growth_exponent", "saturation_power", "slowdown"):
        for depth in BAD["depth"]:
            message = message_of(getattr(MAE, method), depth=depth)
            assert message.startswith("depth must be an integer >= 1, got ")
            assert "\n" not in message


EYE = np.eye(2)
MATRICES = {
    "loss": lambda o: objectives.loss(o, EYE, EYE, EYE, EYE, EYE),
    "aligned_weights": lambda o: matrix_flow.aligned_weights(
        o, depth=1, width=2, epsilon=0.1, seed=0
    ),
    "integrate": lambda o: matrix_flow.integrate(o, np.stack([EYE, EYE]), EYE, EYE, [0.0, 1.0]),
    "aligned_layers": lambda o: unaligned_starts.aligned_layers(o, np.ones((2, 2)), 0),
    "slowdown": lambda o: deeper_decoder.slowdown(o, depth=2, decoder_depth=1),
    "final size": lambda o: deeper_decoder.fixed_point(o, 0.8, depth=2, decoder_depth=1),
    "decoder's time": lambda o: deeper_decoder.critical_time(
        o, 1.0, 0.8, depth=2, decoder_depth=1, gain=0.1
    ),
    "unbalanced_sizes": lambda o: unbalanced.unbalanced_sizes(o, [1.0], [1.0], [[1.0]], [0.0, 1.0]),
    "final_encoder": lambda o: rests.final_encoder(o, EYE, EYE, depth=1),
    "trained_sizes": lambda o: random_masks.trained_sizes(o, examples.patterns(), 1, [1], 0),
}


def test_an_objective_that_is_none_is_named_with_what_is_allowed():
    allowed = "objective must be jepabook.JEPA or jepabook.MAE, got "
    for objective in ("JEPA", None, 3, objectives.Objective):
        for name in FUNCTIONS:
            assert message_of(call, name, objective=objective) == f"{allowed}{objective!r}"
        for name, function in MATRICES.items():
            assert message_of(function, objective) == f"{allowed}{objective!r}", name


@pytest.mark.parametrize(
    ("times", "end"),
    [
        ([0.0, 2.0, 1.0], "must increase from 0, got 1.0 at index (2,)"),
        ([1.0, 2.0], "must increase from 0, got 1.0 at index (0,)"),
        ([0.0], "must be a sequence of at least two, got shape (1,)"),
        ([0.0, np.inf], "must be finite, got inf at index (1,)"),
    ],
)
def test_times_that_do_not_increase_from_zero_are_told_with_their_place(times, end):
    with_target, with_decay = START | {"target_rate": 0.01}, START | {"weight_decay": 0.01}
    assert message_of(target_network.trajectory, times, **with_target) == f"t {end}"
    assert message_of(weight_decay.trajectory, JEPA, times, **with_decay) == f"t {end}"
    scales = np.ones((2, 1))
    message = message_of(unbalanced.unbalanced_sizes, JEPA, [1.0], [1.0], scales, times)
    assert message == f"times {end}"


# bounds of what is asked for


def test_what_would_take_more_memory_than_is_free_is_refused_before_it_is_asked_for(monkeypatch):
    spectrum, small, world = FeatureSpectrum([1.0], [1.0]), *map(generative.two_images, (4, 10))
    # so that little is enough, and what is asked for would be there
    monkeypatch.setattr(memory, "NOTHING", 0)
    monkeypatch.setattr(memory, "free", lambda: 10_000)
    weights = np.ones((2, 2, 2))
    asked = {
        "count": lambda n: spectrum.sample(n, 0),
        "lam and rho and gain": lambda n: critical_time.deep_priority(
            *np.ones((2, n, 1)), np.ones(n)
        ),
        "terms": lambda n: critical_time.expansion(JEPA, 1.0, 1.0, depth=1, epsilon=0.1, terms=n),
        "width": lambda n: matrix_flow.aligned_weights(
            JEPA, depth=1, width=n + 1, epsilon=0.1, seed=0
        ),
        "times": lambda n: matrix_flow.integrate(JEPA, weights, EYE, EYE, np.arange(n) * 1e-3),
        "counts": lambda n: autocorrelation.moments(small, np.arange(1, n + 1), 0),
        "world": lambda n: autocorrelation.basis(world if n > 1 else small),
    }
    for name, function in asked.items():
        with monkeypatch.context() as roomy:
            roomy.setattr(memory, "free", lambda: 10**9)
            function(1)
        message = message_of(function, 500)
        assert name in message and "must fit in the 1e-05 GB of memory that are free" in message


def test_the_free_memory_is_what_the_narrowest_bound_leaves(monkeypatch):
    for bounds in ([], [10**6], [10**6, 3]):
        monkeypatch.setattr(memory, "_of_groups", lambda bounds=bounds: bounds)
        monkeypatch.setattr(memory, "_of_system", lambda: 10**9)
        monkeypatch.setattr(memory, "_of_limits", lambda: [])
        assert memory.free() == min([10**9, *bounds])
    monkeypatch.setattr(memory, "_of_limits", lambda: [-5])
    assert memory.free() == 0


def test_arrays_of_all_other_kinds_are_taken_as_what_they_hold():
    right = dynamics.velocity(JEPA, [0.2, 0.3], 1.2, 0.8, depth=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matrix = np.matrix([[0.2, 0.3]])
    kinds = [
        (0.2, 0.3),
        collections.deque([0.2, 0.3]),
        matrix,
        np.array([0.3, 0.2])[::-1],
        np.array([0.2, 0.3], np.longdouble),
        torch.tensor([0.2, 0.3], dtype=torch.float64),
        [torch.tensor(0.2, dtype=torch.float64), np.float64(0.3)],
        torch.tensor([0.2j, 0.3j], dtype=torch.complex128).conj().imag * -1,
        pandas.Series([0.2, 0.3]),
        memoryview(np.array([0.2, 0.3])),
    ]
    for w in kinds:
        found = dynamics.velocity(JEPA, w, 1.2, 0.8, depth=2)
        np.testing.assert_array_equal(np.ravel(found), right)
    half = torch.tensor([0.25, 0.5], dtype=torch.bfloat16)
    right = dynamics.velocity(JEPA, [0.25, 0.5], 1.2, 0.8, depth=2)
    np.testing.assert_array_equal(dynamics.velocity(JEPA, half, 1.2, 0.8, depth=2), right)
