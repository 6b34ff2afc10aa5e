"""Faults planted in toy/."""

from tests.faults import Fault

FAULTS: tuple[Fault, ...] = ()
