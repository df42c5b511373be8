"""Scripts that record what takes longer than a notebook may: see README.md beside them."""

from jepabook._support import command

command.begin()
