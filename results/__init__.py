"""Scripts that record what takes longer than a notebook may: see README.md beside them."""

from jepabook import _command

_command.begin()
