"""What a recipe's method comes to: path, times, pairs of noise and data, loss, and the velocity that the trained network means.

Every method is one combination: x_0 from the prior, paired by the coupling, x_t from the path at a drawn t, the network's prediction against the target.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from lab.conversions import GaussianSource, convert
from lab.couplings import BatchOT, ConditionalOT, Independent, Pairs, PerClassOT
from lab.losses import TimeLaw, regression_losses
from lab.paths import CondOT, Path, by_name
from trainers.networks import DDPM_STEPS
from trainers.priors import FittedPrior
from trainers.recipes.schema import Recipe
from trainers.times import time_law

SPREAD = 1.0  # sigma_data of EDM's weights: latents are normalised (EDM's own pictures have .5)
EDGE = 1e-3  # how near the ends of [0, 1] a prediction of data or noise is turned into a velocity
COUPLINGS: dict[str, Any] = {
    "independent": Independent(),
    "batch-ot": BatchOT(),
    "class-batch-ot": PerClassOT(),
    "loom": BatchOT(),
    "class-loom": PerClassOT(),
    "pairs": Independent(),
}


@dataclass(frozen=True)
class Method:
    """A recipe's method with the prior that was fitted for it."""

    recipe: Recipe
    prior: FittedPrior

    @cached_property
    def path(self) -> Path:
        options = self.recipe.path
        return CondOT(options.sigma_min) if options.kind == "cond-ot" else by_name(options.kind)

    @cached_property
    def times(self) -> TimeLaw:
        return time_law(self.recipe.loss, self.path)

    @property
    def keeps_assignments(self) -> bool:
        """Whether this is LOOM-CFM."""
        return self.recipe.coupling.kind in ("loom", "class-loom")

    @property
    def last_time(self) -> float:
        """Where sampling along the ODE ends: 1, but 1 - 1e-5 on VP and VE, and 1 - 1/1000 where a DDPM was never trained further (sigma .0105)."""
        return 1 - 1 / DDPM_STEPS if self.recipe.loss.times == "ddpm-1000" else self.path.last_time

    def couple(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None) -> Pairs:
        """Pairs of a group of noises and data."""
        kind = self.recipe.coupling.kind
        if kind == "c2ot":
            seen = condition[:, 0] if condition is not None and condition.is_floating_point() else condition
            pairs = ConditionalOT(self.recipe.coupling.weight)(x_0, x_1, seen)
            return Pairs(pairs.x_0, pairs.x_1, condition, pairs.index)
        blind = kind in ("batch-ot", "loom", "independent", "pairs")
        pairs = COUPLINGS[kind](x_0, x_1, None if blind else condition)
        return Pairs(pairs.x_0, pairs.x_1, condition, pairs.index)

    def losses(
        self,
        network: nn.Module,
        x_0: Float[Tensor, "b c h w"],
        x_1: Float[Tensor, "b c h w"],
        t: Float[Tensor, " b"],
        told: Tensor | None,
    ) -> Float[Tensor, " b"]:
        """The loss of each sample. `told` is what the network is told: the sample's condition, or the null one."""
        loss = self.recipe.loss
        prediction = network(self.path.sample(x_0=x_0, x_1=x_1, t=t).x_t, t, told)
        source = self._source() if loss.target == "score" else None
        edm = loss.weighting == "edm"
        losses = regression_losses(
            prediction,
            x_0=x_0,
            x_1=x_1,
            t=t,
            path=self.path,
            target=loss.target,
            weighting="velocity" if edm else loss.weighting,
            source=source,
        )
        return losses * self._edm_weight(t) if edm else losses

    def _edm_weight(self, t: Tensor) -> Tensor:
        """EDM's weight (r^2 + s^2) / (r s)^2 of a denoiser's squared error, r = sigma / alpha, as a weight of the velocity's: times (sigma / W)^2."""
        alpha, sigma = self.path.alpha(t), self.path.sigma(t)
        wronskian = alpha * self.path.d_sigma(t) - sigma * self.path.d_alpha(t)
        return (sigma**2 + (alpha * SPREAD) ** 2) / (SPREAD * wronskian) ** 2

    def _source(self) -> GaussianSource:
        """The law of x_0, which a score needs; it is one for all conditions there (trainers.recipes.checks)."""
        return self.prior.gaussian_source()

    def velocity(
        self, network: nn.Module, x: Float[Tensor, "b c h w"], t: Float[Tensor, " b"], told: Tensor | None
    ) -> Float[Tensor, "b c h w"]:
        """dx/dt as the network's prediction implies it.

        A velocity is the network's own. Data, noise and score determine none at one end or the other, so their times are held to [EDGE, 1 - EDGE] there.
        """
        target = self.recipe.loss.target
        if target == "velocity":
            return network(x, t, told)
        if target == "noise" and not self.path.clean_start:
            t = t.clamp(max=self.last_time)
        else:
            t = t.clamp(min=EDGE, max=min(1 - EDGE, self.last_time))
        independent = self.recipe.coupling.kind == "independent"
        source = self._source() if target == "score" else None
        value = network(x, t, told)
        return convert(
            value, x, t, path=self.path, given=target, wanted="velocity", source=source, coupling="independent" if independent else "other"
        )
