"""Tests of the readers of data sets."""
