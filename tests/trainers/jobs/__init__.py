"""Tests of trainings in the background."""
