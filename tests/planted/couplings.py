"""Faults planted in Sinkhorn's plan and draws, the semidiscrete coupling and stored pairs."""

from tests.faults import Fault

TESTS = "tests/lab/test_soft_couplings.py"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "lab/sinkhorn.py",
        "if not error <= tolerance:",
        "if error > 10:",
        f"{TESTS}::test_a_plan_without_its_marginals_is_refused_not_returned",
    ),
    Fault(
        "lab/sinkhorn.py",
        "absolute = epsilon * (spread or 1.0) if relative else epsilon",
        "absolute = epsilon * float(cost.max()) if relative else epsilon",
        f"{TESTS}::test_the_plan_is_that_of_the_matrix_scaling_algorithm",
    ),
    Fault(
        "lab/sinkhorn.py",
        'absolute * log["log_u"], absolute * log["log_v"]',
        'log["log_u"], log["log_v"]',
        f"{TESTS}::test_the_plan_is_that_of_the_matrix_scaling_algorithm",
    ),
    Fault(
        "lab/sinkhorn.py",
        "float((plan.sum(0) - columns).abs().sum())",
        "float((plan.sum(0) - columns).sum())",
        f"{TESTS}::test_the_marginal_error_is_that_of_the_plan",
    ),
    Fault(
        "lab/couplings.py",
        "rows = self.plan(x_0, x_1).plan.to(generator.device)",
        "rows = self.plan(x_0, x_1).plan.T.to(generator.device)",
        f"{TESTS}::test_pairs_are_drawn_from_the_plan_and_noises_used_once_in_expectation",
    ),
    Fault(
        "lab/couplings.py",
        "torch.multinomial(rows, 1, generator=generator)[:, 0]",
        "rows.argmax(1)",
        f"{TESTS}::test_draws_follow_the_generator_alone",
    ),
    Fault(
        "lab/semidiscrete.py",
        "(scores(part, data) - potentials).argmin(1)",
        "(scores(part, data) + potentials).argmin(1)",
        f"{TESTS}::test_on_the_line_the_cells_end_at_the_quantiles",
    ),
    Fault(
        "lab/semidiscrete.py",
        "return spread * (potentials - potentials.mean())",
        "return potentials - potentials.mean()",
        f"{TESTS}::test_on_the_line_the_cells_end_at_the_quantiles",
    ),
    Fault(
        "lab/semidiscrete.py",
        "counts * (counts - 1)",
        "counts * counts",
        f"{TESTS}::test_chi_squared_estimates_the_unevenness_without_bias",
    ),
    Fault(
        "lab/couplings.py",
        "flat(self.data[rows]), self.potentials[rows])",
        "flat(self.data[rows]), self.potentials[: len(rows)])",
        f"{TESTS}::test_per_class_potentials_keep_the_prior_in_every_class_and_blind_ones_do_not",
    ),
    Fault(
        "lab/couplings.py",
        "(z if prior is None else prior(z, None if c is None else c.expand(count)))",
        "z",
        f"{TESTS}::test_potentials_belong_to_the_prior_they_were_fitted_to",
    ),
    Fault(
        "lab/stored_pairs.py",
        "z = normals(self.seed, self.index[rows], prod(shape), self.stream, dtype)",
        "z = normals(self.seed, rows, prod(shape), self.stream, dtype)",
        f"{TESTS}::test_noise_is_kept_as_numbers_of_the_counter",
    ),
    Fault(
        "lab/stored_pairs.py",
        "condition = None if self.condition is None else self.condition[rows]",
        "condition = None if self.condition is None else self.condition[: len(rows)]",
        f"{TESTS}::test_stored_pairs_come_back_as_stored",
    ),
    Fault(
        "lab/stored_pairs.py",
        "torch.arange(len(self)) + (epoch << 32)",
        "torch.arange(len(self)) + (seed << 32)",
        f"{TESTS}::test_an_epoch_serves_every_pair_once_in_an_order_of_its_own",
    ),
    Fault(
        "lab/stored_pairs.py",
        "SeededNoise(low | high << 32,",
        "SeededNoise(low,",
        f"{TESTS}::test_a_state_of_plain_tensors_restores_the_pairs",
    ),
    Fault(
        "lab/solvers.py",
        "min(max(t + node * h, 0.0), 1.0)",
        "min(max(t + h, 0.0), 1.0)",
        "tests/lab/test_solvers.py::test_fixed_steps_are_torchdiffeqs",
    ),
    Fault(
        "lab/couplings.py",
        "return torch.tensor(found, dtype=torch.float64)",
        "return torch.tensor(found[::-1], dtype=torch.float64)",
        f"{TESTS}::test_unevenness_is_told_class_by_class_in_rising_order",
    ),
    Fault(
        "lab/optimal_transport.py",
        "ITERATIONS = 100_000_000",
        "ITERATIONS = 100_000",
        "tests/lab/test_couplings.py::test_an_assignment_of_many_pivots_is_solved_to_the_end",
    ),
    Fault(
        "lab/optimal_transport.py",
        'log["warning"] is not None or len(np.unique(index)) != len(index)',
        "len(np.unique(index)) != len(index)",
        "tests/lab/test_couplings.py::test_an_assignment_that_stops_before_the_optimum_is_refused",
    ),
)
