"""A second device where there is none: what a GPU's tensors forbid, on the CPU, with their numbers.

Under `Elsewhere` torch has the device "lazy", whose memory is the CPU's. Its tensors refuse, as a
GPU's do, to meet tensors of the CPU (but for single numbers) and to become NumPy arrays, so a
tensor that was left on the wrong device is found without a GPU; and what is computed there is
compared with what the CPU computes, number by number. It has no random numbers of its own: those of
its generators are the CPU's.
"""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from jepabook._support import validate

NAME = "lazy"  # a device that autograd serves without threads of its own
# these may have one tensor here and one there
CARRIES = ("_to_copy", "copy_")


class _Away(torch.Tensor):
    """A tensor of the second device; `here` holds its numbers."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=f"{NAME}:0",
            requires_grad=here.requires_grad,
        )

    def __init__(self, here):
        self.here = here

    def __repr__(self):
        return f"{self.here!r} elsewhere"

    def numpy(self, **_):
        raise TypeError("a tensor elsewhere has to be copied to the CPU first")

    def tolist(self):
        return self.here.tolist()

    def __array__(self, *_, **__):
        return self.numpy()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _carried_out(function, args, kwargs or {})


class _Generator(torch.Generator):
    """Random numbers of the CPU, whatever device is asked for."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu")


class Elsewhere(TorchDispatchMode):
    """Within it, tensors that are made on `NAME` are there."""

    def __enter__(self):
        self.generator, self.is_dense = torch.Generator, validate.is_dense
        # torch.tensor makes its tensor on the CPU and carries it over
        self.lifts = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        torch.Generator = _Generator
        # the package takes no tensor of a kind that it does not know
        validate.is_dense = lambda value, traced=False: (
            isinstance(value, _Away) or self.is_dense(value, traced)
        )
        return super().__enter__()

    def __exit__(self, *error):
        torch.Generator, validate.is_dense = self.generator, self.is_dense
        torch._C._set_only_lift_cpu_tensors(self.lifts)
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _carried_out(function, args, kwargs or {})


def _carried_out(function, args, kwargs):
    name = function.overloadpacket.__name__
    given, _ = tree_flatten((args, kwargs))
    tensors = [value for value in given if isinstance(value, torch.Tensor)]
    away = any(isinstance(tensor, _Away) for tensor in tensors)
    if away and name not in CARRIES:
        left = [t for t in tensors if not isinstance(t, _Away) and t.dim()]
        if left:
            raise RuntimeError(f"{name}: a tensor {tuple(left[0].shape)} was left on the CPU")
    aim = kwargs.get("device")
    if aim is not None:
        away, kwargs = torch.device(aim).type == NAME, kwargs | {"device": torch.device("cpu")}
    here_args, here_kwargs = tree_map(_here, (args, kwargs))
    found = function(*here_args, **here_kwargs)
    # what writes into its arguments returns them
    owners = {id(_here(tensor)): tensor for tensor in tensors}
    return tree_map(lambda value: owners.get(id(value), _there(value, away)), found)


def _here(value):
    return value.here if isinstance(value, _Away) else value


def _there(value, away):
    return _Away(value) if away and isinstance(value, torch.Tensor) else value
