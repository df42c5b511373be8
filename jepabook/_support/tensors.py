"""Checks of what torch alone has: tensors, devices, types. What `validate` is for NumPy."""

import numpy as np
import torch

from jepabook._support import validate

TYPES = (torch.float32, torch.float64)


def dtype(value):
    """Raise ValueError unless `value` is a type in which the networks can be trained."""
    if not any(value is kind for kind in TYPES):
        told = validate.one_line(value)
        raise ValueError(f"dtype must be torch.float32 or torch.float64, got {told}")


def device(value):
    """Return `value` as a torch device; ValueError unless torch can put tensors there."""
    try:
        return torch.empty(0, device=torch.device(value)).device
    except Exception:  # each kind of device fails in a way of its own
        told = validate.one_line(value)
        raise ValueError(f"device must be one that torch has here, cpu say, got {told}") from None


def dense(name, value, shape=None, gradient=False):
    """Return `value` if it is a dense tensor of a shape; ValueError otherwise.

    Letters in the shape allow any length, one length for one letter; None allows any shape. A
    tensor that requires a gradient is refused unless `gradient`, as is one without memory. Its
    numbers are not looked at.
    """
    if not isinstance(value, torch.Tensor):
        raise ValueError(f"{name} must be a tensor, got {type(value).__name__}")
    if value.requires_grad and not gradient:
        raise ValueError(f"{name} must not require a gradient: detach it")
    if not validate.is_dense(value, traced=gradient):
        told = f"{type(value).__name__}, {value.layout}"
        raise ValueError(f"{name} must be a dense tensor of numbers, got {told}")
    if shape is not None and not validate.fits(value.shape, shape):
        raise ValueError(f"{name} must have shape {validate.told(shape)}, got {tuple(value.shape)}")
    return value


def floating(name, value, shape=None, gradient=False):
    """`dense`, of floating-point numbers."""
    if not dense(name, value, shape, gradient).is_floating_point():
        raise ValueError(f"{name} must be floating-point numbers, got {value.dtype}")
    return value


def finite(name, value, shape=None):
    """`floating`, without NaN and infinities."""
    if not torch.isfinite(floating(name, value, shape)).all():
        raise ValueError(f"{name} must be finite, got {value[~torch.isfinite(value)][0]}")
    return value


def room(name, value, dtype):
    """Return a float64 array whose finite numbers all have room in a type, or raise ValueError."""
    most = torch.finfo(dtype).max
    fits = ~np.isfinite(value) | (np.abs(value) <= most)
    return validate.where(name, value, fits, f"must be at most {most:.3g} in size for {dtype}")


def of_type(name, value, dtype, device="cpu"):
    """An array as a tensor of a type that has `room` for it.

    What is too small for the type becomes the number next to it, 0 say.
    """
    return torch.as_tensor(room(name, value, dtype), dtype=dtype, device=device)


def integral(name, value, shape):
    """Return `value` if it is an int64 tensor of that shape, or raise ValueError."""
    if dense(name, value, shape, gradient=True).dtype != torch.int64:
        raise ValueError(f"{name} must be int64 integers, got {value.dtype}")
    return value


def numbers(name, value, device):
    """An array, or a dense tensor on any device, as a float64 tensor on `device`."""
    if not isinstance(value, torch.Tensor):
        return torch.as_tensor(validate.numbers(name, value), device=device)
    value = dense(name, value)
    if value.dtype == torch.bool or value.is_complex():
        raise ValueError(f"{name} must be real numbers, got {value.dtype}")
    return value.to(device, torch.float64)


def set_state(generator, state):
    """Set a generator's state; ValueError unless it is one that such a generator gave."""
    try:
        generator.set_state(state)
    except Exception:  # torch has several types for what does not fit
        told = validate.one_line(state)
        raise ValueError(f"state must be what `state` gave, got {told}") from None
