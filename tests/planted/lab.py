"""Faults planted in lab/."""

from tests.faults import Fault

FAULTS: tuple[Fault, ...] = ()
