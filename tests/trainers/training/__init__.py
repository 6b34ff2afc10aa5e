"""Tests of networks, methods, the loop, checkpoints, sampling."""
