"""Priors fitted to latent caches: class statistics, mixtures and CPD's text mapper. `fit_prior` makes a `FittedPrior`, which is usable without the cache and without a flow.

Knows lab, recipes and files. visits: passes over a cache; class_statistics and shrinkage: Gaussians; clustering: mixtures; mapper and cross_fitting: texts.
"""

from trainers.priors.fit import fit_prior
from trainers.priors.fitted import FittedPrior

__all__ = ["FittedPrior", "fit_prior"]
