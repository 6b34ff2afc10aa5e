"""Pairs (x_0, x_1) of a scene's coupling, as a network would be trained on them."""

import torch
from jaxtyping import Float
from torch import Tensor

from toy.blocks import PairedField
from toy.sampled_pairs import batch_ot_pairs
from toy.world import World

Pairs = tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2"]]


def draw_pairs(made: World, count: int, generator: torch.Generator) -> Pairs:
    """`count` fresh pairs x_0, x_1 (n, 2) of the world's coupling: exact draws of a block coupling, whole batches of batch OT, the shown points of full OT (their first)."""
    scene, field = made.scene, made.field
    if isinstance(field, PairedField):
        return field.x_0[:count], field.x_1[:count]
    if made.fitted is not None:
        drawn = batch_ot_pairs(
            made.source,
            made.target,
            made.plan,
            batch_size=scene.batch_size,
            per_class=scene.coupling == "class-batch-ot",
            generator=generator,
            count=count,
        )
        return drawn.x_0[:count], drawn.x_1[:count]
    cell = torch.multinomial(field.plan.flatten(), count, replacement=True, generator=generator)
    j, k = cell // field.plan.shape[1], cell % field.plan.shape[1]
    normals = torch.randn(2, count, 2, dtype=torch.float64, generator=generator)
    x_0 = made.source.from_normals(normals[0], j)
    if made.cross is None:
        return x_0, made.target.from_normals(normals[1], k)
    # x_1 given x_0 within a pair of components: mean mu + C^T S^-1 (x_0 - m), covariance Sigma - C^T S^-1 C, which is zero for an optimal map.
    gain = torch.linalg.solve(made.source.covariances[j], made.cross[j, k]).mT
    left = made.target.covariances[k] - gain @ made.cross[j, k]
    values, vectors = torch.linalg.eigh(0.5 * (left + left.mT))
    root = vectors * values.clamp(min=0).sqrt()[:, None, :]
    moved = gain @ (x_0 - made.source.means[j])[..., None] + root @ normals[1][..., None]
    return x_0, made.target.means[k] + moved[..., 0]
