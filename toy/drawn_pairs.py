"""Pairs (x_0, x_1) of a scene's coupling, as a network would be trained on them."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from toy.blocks import PairedField
from toy.sampled_pairs import batch_ot_pairs
from toy.world import World


@dataclass(frozen=True)
class LabelledPairs:
    """x_0, x_1 (n, 2) float64 and the class (n,) that x_1 is of."""

    x_0: Float[Tensor, "n 2"]
    x_1: Float[Tensor, "n 2"]
    condition: Int[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.x_0)

    def rows(self, index: Tensor | slice) -> "LabelledPairs":
        """Some of the pairs."""
        return LabelledPairs(self.x_0[index], self.x_1[index], self.condition[index])

    @property
    def transport_cost(self) -> float:
        """Mean squared distance of the pairs."""
        return float((self.x_1 - self.x_0).square().sum(1).mean())


def draw_pairs(made: World, count: int, generator: torch.Generator) -> LabelledPairs:
    """`count` fresh pairs of the world's coupling with each x_1's class: exact draws of a block coupling, whole batches of batch OT in random order.

    Full OT has no fresh ones: its pairs are the shown points themselves, the first `count`.
    """
    scene, field = made.scene, made.field
    if isinstance(field, PairedField):
        return LabelledPairs(field.x_0, field.x_1, field.condition).rows(slice(0, count))
    if made.fitted is not None:
        per_class = scene.coupling == "class-batch-ot"
        drawn = batch_ot_pairs(
            made.source, made.target, made.plan, batch_size=scene.batch_size, per_class=per_class, generator=generator, count=count
        )
        order = torch.randperm(len(drawn.x_0), generator=generator)[:count]
        return LabelledPairs(drawn.x_0[order], drawn.x_1[order], made.target.classes[drawn.component[order]])
    cell = torch.multinomial(field.plan.flatten(), count, replacement=True, generator=generator)
    j, k = cell // field.plan.shape[1], cell % field.plan.shape[1]
    normals = torch.randn(2, count, 2, dtype=torch.float64, generator=generator)
    x_0, own_class = made.source.from_normals(normals[0], j), made.target.classes[k]
    if made.cross is None:
        return LabelledPairs(x_0, made.target.from_normals(normals[1], k), own_class)
    # x_1 given x_0 within a pair of components: mean mu + C^T S^-1 (x_0 - m), covariance Sigma - C^T S^-1 C, which is zero for an optimal map.
    gain = torch.linalg.solve(made.source.covariances[:, None], made.cross).mT
    left = made.target.covariances[None] - gain @ made.cross
    values, vectors = torch.linalg.eigh(0.5 * (left + left.mT))
    root = vectors * values.clamp(min=0).sqrt()[..., None, :]
    moved = gain[j, k] @ (x_0 - made.source.means[j])[..., None] + root[j, k] @ normals[1][..., None]
    return LabelledPairs(x_0, made.target.means[k] + moved[..., 0], own_class)
