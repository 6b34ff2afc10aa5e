"""Explicit Runge-Kutta methods as data: nodes c, matrix a (strictly lower triangle, by rows) and weights b."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tableau:
    """Butcher tableau: stage i sits at t + c_i h and x + h sum_j a_ij k_j; the step is x + h sum_i b_i k_i. Evaluations per step: len(weights)."""

    name: str
    order: int
    nodes: tuple[float, ...]
    matrix: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]


TABLEAUS = {
    tableau.name: tableau
    for tableau in (
        Tableau("euler", 1, (0,), ((),), (1,)),
        Tableau("midpoint", 2, (0, 1 / 2), ((), (1 / 2,)), (0, 1)),
        Tableau("heun", 2, (0, 1), ((), (1,)), (1 / 2, 1 / 2)),
        Tableau("ralston", 2, (0, 2 / 3), ((), (2 / 3,)), (1 / 4, 3 / 4)),
        Tableau("kutta3", 3, (0, 1 / 2, 1), ((), (1 / 2,), (-1, 2)), (1 / 6, 2 / 3, 1 / 6)),
        Tableau("rk4", 4, (0, 1 / 2, 1 / 2, 1), ((), (1 / 2,), (0, 1 / 2), (0, 0, 1)), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
        Tableau("rk4-38", 4, (0, 1 / 3, 2 / 3, 1), ((), (1 / 3,), (-1 / 3, 1), (1, -1, 1)), (1 / 8, 3 / 8, 3 / 8, 1 / 8)),
    )
}
