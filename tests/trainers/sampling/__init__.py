"""Tests of samples: solvers, DDPM's own samplers, pairs for reflow, pictures on disk, plans, checkpoints that are opened."""
