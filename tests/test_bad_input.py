"""Bad input is refused in one line with the argument's name, its value and what is allowed; good
input of every kind is accepted, in silence and unchanged.

pyproject.toml turns every warning into an error, so each call below also shows that none leaks.
"""

import inspect

import numpy as np
import pytest

from jepabook import (
    JEPA,
    MAE,
    FeatureSpectrum,
    critical_time,
    dynamics,
    features,
    matrix_flow,
    momentum,
    objectives,
    random_masks,
    violations,
    weight_decay,
)
from jepabook.lerch import lerch_phi

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


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        pytest.param(name, argument, value, id=f"{name}-{argument}-{k}")
        for name, (_, arguments) in FUNCTIONS.items()
        for argument in arguments
        for k, value in enumerate(BAD[argument])
    ],
)
def test_each_bad_argument_is_named_with_its_value_and_what_is_allowed(name, argument, value):
    for objective in (JEPA, MAE):
        message = message_of(call, name, objective, **{argument: value})
        assert "\n" not in message and len(message) < 250
        assert message.startswith(argument + " must ")
        assert shows(message, value), message
        assert ALLOWED.get(argument, "") in message


@pytest.mark.parametrize("name", ["time_to_reach"])
def test_w_equal_to_zero_is_refused_where_the_time_would_be_minus_infinity(name):
    assert message_of(call, name, w=0.0) == "w must be positive and finite, got 0.0"


@pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
@pytest.mark.parametrize("name", [name for name, (_, a) in FUNCTIONS.items() if "epsilon" in a])
def test_epsilon_at_or_above_the_fixed_point_is_refused_also_exactly_at_it(objective, name):
    for rho, depth in ((0.25, 2), (1.0, 1), (1.0, 40), (0.0625, 3)):
        top = rho**depth if objective is JEPA else rho ** (depth / (depth + 1))
        exact = objective is JEPA or rho == 1.0 or depth == 3
        for epsilon in ([top] if exact else []) + [top * (1 + 1e-15), 2 * top, 1e300]:
            message = message_of(call, name, objective, rho=rho, depth=depth, epsilon=epsilon)
            allowed = f"epsilon must lie in (0, fixed_point({objective}, rho, {depth})), got "
            assert message == allowed + str(float(epsilon))
        call(name, objective, rho=rho, depth=depth, epsilon=top * (1 - 1e-15))


def test_the_first_bad_entry_of_an_array_is_shown_with_its_index():
    epsilon = np.array([[0.1, 0.2], [0.9, 0.3]])
    message = message_of(call, "trajectory", epsilon=epsilon)
    assert message.endswith("got 0.9 at index (1, 0)")
    message = message_of(call, "exact", fraction=[0.5, 0.2, 1.0])
    assert message == "fraction must lie in (0, 1), got 1.0 at index (2,)"


@pytest.mark.parametrize("name", [n for n, (_, a) in FUNCTIONS.items() if "lam" in a])
def test_shapes_that_do_not_broadcast_are_all_named(name):
    message = message_of(call, name, lam=np.ones(2), rho=np.ones(3))
    assert message.startswith("shapes must broadcast against each other, got ")
    assert "lam (2,)" in message and "rho (3,)" in message and "\n" not in message


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
def test_integers_lists_and_other_dtypes_give_what_floats_give(name, objective):
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


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
@pytest.mark.parametrize("depth", [1, 2])
def test_inputs_are_not_modified_and_may_be_read_only(name, objective, depth):
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


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("objective", [JEPA, MAE], ids=str)
@pytest.mark.parametrize("depth", [1, 3])
def test_empty_arrays_give_empty_arrays(name, objective, depth):
    arguments = FUNCTIONS[name][1]
    for argument in arguments:
        if argument not in ("depth", "terms"):
            result = call(name, objective, **{"depth": depth, argument: np.empty((0, 2))})
            assert result.shape[-2:] == (0, 2)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_numeric_argument_of_a_public_function_is_covered_here(name):
    function, arguments = FUNCTIONS[name]
    assert set(inspect.signature(function).parameters) == {"objective"} | set(arguments)


# lerch_phi, FeatureSpectrum, distribution, matrix_flow


@pytest.mark.parametrize("value", [-0.1, 1, 1.0, 2, np.nan, np.inf, [0.5, 1.0], *NO_NUMBERS])
def test_lerch_phi_refuses_bad_z(value):
    message = message_of(lerch_phi, value, 0.5)
    assert message.startswith("z must ") and "\n" not in message and shows(message, value)


@pytest.mark.parametrize("value", [0, -1, -7.0, 1.0001, 2, np.nan, np.inf, -np.inf, *NO_NUMBERS])
def test_lerch_phi_refuses_bad_a(value):
    message = message_of(lerch_phi, 0.5, value)
    assert message.startswith("a must ") and "\n" not in message and shows(message, value)


def test_lerch_phi_names_the_shapes():
    message = message_of(lerch_phi, np.zeros(2), np.full(3, 0.5))
    assert message.endswith("got z (2,), a (3,)")


@pytest.mark.parametrize("argument", ["lam", "rho"])
@pytest.mark.parametrize("value", NOT_POSITIVE + NO_NUMBERS)
def test_feature_spectrum_refuses_bad_lam_and_rho(argument, value):
    message = message_of(FeatureSpectrum, **({"lam": [1.0], "rho": [1.0]} | {argument: value}))
    assert message.startswith(argument + " must ") and "\n" not in message
    assert shows(message, value)


def test_feature_spectrum_refuses_shapes_that_are_not_one_dimensional():
    assert "(2,)" in message_of(FeatureSpectrum, [1.0, 2.0], [1.0, 2.0, 3.0])
    assert "(2, 2)" in message_of(FeatureSpectrum, np.ones((2, 2)), 1.0)


def test_samples_and_distributions_refuse_bad_counts_numbers_and_noise():
    spectrum = FeatureSpectrum([1.0], [1.0])
    for count in (0, -1, 1.5, "3", True, None):
        message = message_of(features.distribution, 1, count)
        assert message == f"count must be an integer >= 1, got {count!r}"
        assert message_of(spectrum.sample, count, 0) == message
    for number in (0, 3, "1", None):
        assert message_of(features.distribution, number, 3).startswith("number must be 1 or 2, got")
    for noise in (-1.0, np.nan, np.inf, "a"):
        assert message_of(spectrum.sample, 3, 0, noise=noise).startswith("noise must ")
    assert message_of(features.distribution, 1, 3, lam=(0, 1)).startswith("lam must be positive")


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
    weights = matrix_flow.aligned_weights(JEPA, 1, 2, 0.1, 0)
    message = message_of(matrix_flow.integrate, JEPA, weights, np.eye(2), np.eye(2), times)
    assert message.startswith("times must ") and "\n" not in message


@pytest.mark.parametrize("method", ["growth_exponent", "saturation_power", "slowdown"])
@pytest.mark.parametrize("depth", BAD["depth"])
def test_objectives_refuse_a_bad_depth(method, depth):
    message = message_of(getattr(MAE, method), depth)
    assert message.startswith("depth must be an integer >= 1, got ") and "\n" not in message


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("objective", ["JEPA", None, 3])
def test_an_objective_that_is_none_is_named_with_what_is_allowed(name, objective):
    message = message_of(call, name, objective=objective)
    assert message == f"objective must be jepabook.JEPA or jepabook.MAE, got {objective!r}"


EYE = np.eye(2)
MATRICES = {
    "loss": lambda o: objectives.loss(o, EYE, EYE, EYE, EYE, EYE),
    "aligned_weights": lambda o: matrix_flow.aligned_weights(o, 1, 2, 0.1, 0),
    "integrate": lambda o: matrix_flow.integrate(o, np.stack([EYE, EYE]), EYE, EYE, [0.0, 1.0]),
    "aligned_layers": lambda o: violations.aligned_layers(o, np.ones((2, 2)), 0),
    "slowdown": lambda o: violations.slowdown(o, 2, 1),
    "final size": lambda o: violations.fixed_point(o, 0.8, 2, 1),
    "decoder's time": lambda o: violations.critical_time(o, 1.0, 0.8, 2, 1, 0.1),
    "unbalanced_sizes": lambda o: violations.unbalanced_sizes(o, [1.0], [1.0], [[1.0]], [0.0, 1.0]),
    "final_encoder": lambda o: violations.final_encoder(o, EYE, EYE, 1),
    "trained_sizes": lambda o: random_masks.trained_sizes(o, random_masks.example(), 1, [1], 0),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("objective", ["JEPA", None])
def test_matrices_of_an_objective_that_is_none_are_refused(name, objective):
    message = message_of(MATRICES[name], objective)
    assert message == f"objective must be jepabook.JEPA or jepabook.MAE, got {objective!r}"


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
    known = 1.2, 0.8, 2, 0.1, 0.01
    assert message_of(momentum.trajectory, times, *known) == f"t {end}"
    assert message_of(weight_decay.trajectory, JEPA, times, *known) == f"t {end}"
    scales = np.ones((2, 1))
    message = message_of(violations.unbalanced_sizes, JEPA, [1.0], [1.0], scales, times)
    assert message == f"times {end}"
