"""Tests of the fitted priors."""
