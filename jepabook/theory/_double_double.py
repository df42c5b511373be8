"""log(prod x_i^n_i) for integer n_i, accurate relative to itself even where it is nearly zero.

Near a fixed point the theory needs 1 - w^j / rho^L, which plain floats cannot resolve: rho^L is
rounded. Products are therefore carried as unevaluated sums of two floats (Dekker 1971) times a
power of two.
"""

import numpy as np

_SPLIT = 2.0**27 + 1


def log_product(*powers):
    """log(prod x**n) for pairs (x, n): x float64 arrays >= 0, n integers of either sign.

    The relative error is a few units of 1e-16, also where the product is within 1e-16 of 1.
    """
    numerator = _product([(x, n) for x, n in powers if n > 0])
    denominator = _product([(x, -n) for x, n in powers if n < 0])
    shift = numerator[2] - denominator[2]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        far = np.log(numerator[0] / denominator[0]) + shift * np.log(2.0)
        scale = np.exp2(np.clip(shift, -2, 2))
        difference = (numerator[0] * scale - denominator[0]) + (
            numerator[1] * scale - denominator[1]
        )
        near = np.log1p(difference / denominator[0])
    return np.where((np.abs(shift) <= 1) & (np.abs(near) < 0.5), near, far)


def _product(powers):
    """prod x**n as (high, low, exponent), n > 0, high in [0.5, 1)."""
    result = (np.float64(0.5), np.float64(0.0), 1)
    for x, n in powers:
        high, exponent = np.frexp(x)
        factor = (high, np.zeros_like(high), exponent.astype(np.int64))
        while n:
            if n & 1:
                result = _multiply(result, factor)
            n >>= 1
            factor = _multiply(factor, factor) if n else factor
    return result


def _multiply(a, b):
    high = a[0] * b[0]
    a_big, a_small = _split(a[0])
    b_big, b_small = _split(b[0])
    low = ((a_big * b_big - high) + a_big * b_small + a_small * b_big) + a_small * b_small
    low = low + (a[0] * b[1] + a[1] * b[0])
    total = high + low
    rest = low - (total - high)
    total, shift = np.frexp(total)
    return total, np.ldexp(rest, -shift), a[2] + b[2] + shift


def _split(x):
    scaled = _SPLIT * x
    big = scaled - (scaled - x)
    return big, x - big
