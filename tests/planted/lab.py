"""Faults planted in the paths, conversions, random numbers, couplings, solvers, measures and distances of lab/."""

from tests.faults import Fault

FAULTS: tuple[Fault, ...] = (
    Fault(
        "lab/paths.py",
        "return -0.5 * torch.pi * self.alpha(t)",
        "return -0.5 * self.alpha(t)",
        "tests/lab/test_paths.py::test_derivatives_are_those_of_autograd",
    ),
    Fault(
        "lab/paths.py",
        "return torch.full_like(t, self.sigma_min - 1)",
        "return torch.full_like(t, -1.0)",
        "tests/lab/test_paths.py::test_derivatives_are_those_of_autograd",
    ),
    Fault(
        "lab/paths.py",
        "return self.degree * t ** (self.degree - 1)",
        "return t ** (self.degree - 1)",
        "tests/lab/test_paths.py::test_derivatives_are_those_of_autograd",
    ),
    Fault(
        "lab/conversions.py",
        "return covariance * x if factor is None else (covariance @ _columns(x)).reshape(x.shape)",
        "return covariance * x if factor is None else (factor @ _columns(x)).reshape(x.shape)",
        "tests/lab/test_conversions.py::test_images_with_full_covariance_are_their_flattened_selves",
    ),
    Fault("lab/random.py", "ROUNDS = 10", "ROUNDS = 9", "tests/lab/test_random.py::test_philox_gives_the_known_answers_of_random123"),
    Fault(
        "lab/random.py",
        "radius * angle.sin()",
        "radius * angle.cos()",
        "tests/lab/test_random.py::test_numbers_are_box_muller_of_53_bit_uniforms",
    ),
    Fault(
        "lab/random.py",
        "(rows >> 32) & MASK, block",
        "rows & 0, block",
        "tests/lab/test_random.py::test_seed_index_and_stream_beyond_32_bits_matter",
    ),
    Fault(
        "lab/couplings.py",
        "rows[assign(squared_cost(x_1[rows], x_0[rows]))]",
        "rows.flip(0)",
        "tests/lab/test_couplings.py::test_per_class_transport_is_optimal_within_each_class_and_stays_there",
    ),
    Fault(
        "lab/couplings.py",
        "_paired(x_0, x_1, condition, assign(squared_cost(x_1, x_0)))",
        "_paired(x_0, x_1, condition, squared_cost(x_1, x_0).argmin(1))",
        "tests/lab/test_couplings.py::test_every_datum_and_every_noise_is_used_once_and_data_keep_their_order",
    ),
    Fault(
        "lab/optimal_transport.py",
        'compute_mode="donot_use_mm_for_euclid_dist").square()',
        'compute_mode="donot_use_mm_for_euclid_dist")',
        "tests/lab/test_couplings.py::test_squared_cost_is_the_squared_distance",
    ),
    Fault(
        "lab/tableaus.py",
        "((), (2 / 3,)), (1 / 4, 3 / 4)",
        "((), (2 / 3,)), (1 / 2, 1 / 2)",
        "tests/lab/test_solvers.py::test_tableaus_satisfy_the_order_conditions",
    ),
    Fault(
        "lab/tableaus.py",
        "(-1 / 3, 1), (1, -1, 1)",
        "(1 / 3, 1), (1, -1, 1)",
        "tests/lab/test_solvers.py::test_tableaus_satisfy_the_order_conditions",
    ),
    Fault(
        "lab/solvers.py",
        "ratio = 0.5 * h / before[1]",
        "ratio = 0.5",
        "tests/lab/test_solvers.py::test_ab2_is_exact_in_every_step_but_the_first_where_the_velocity_is_linear_in_time",
    ),
    Fault(
        "lab/solvers.py",
        "float(path.alpha(time)) * data + float(path.sigma(time)) * source",
        "float(path.alpha(time)) * data + (1 - float(path.alpha(time))) * source",
        "tests/toy/test_theorems.py::test_the_ddim_step_is_the_same_on_all_paths_and_is_eulers_on_condot",
    ),
    Fault("lab/grids.py", "s / (SHIFT - (SHIFT - 1) * s)", "s / (SHIFT - s)", "tests/lab/test_solvers.py::test_grids_are_their_formulas"),
    Fault(
        "lab/measures.py",
        "x = x + (h / 6) * (first + 2 * (second + third) + last)",
        "x = x + (h / 6) * (first + 2 * second + 2 * first + last)",
        "tests/lab/test_measures.py::test_the_reference_passes_through_the_solvers_times_also_in_vps_angle",
    ),
    Fault(
        "lab/measures.py",
        "before = (slope, later - t)\n        else:",
        "before = None\n        else:",
        "tests/lab/test_measures.py::test_local_errors_of_decay_are_the_taylor_remainders",
    ),
    Fault(
        "lab/measures.py",
        "departure = (slopes(trajectory, velocity, condition) - chord).square().sum(-1)",
        "departure = (slopes(trajectory, velocity, condition) - chord).norm(dim=-1)",
        "tests/lab/test_measures.py::test_matched_gaussians_have_their_closed_form_straightness_and_length",
    ),
    Fault(
        "lab/measures.py",
        "if max(slopes_found) - min(slopes_found) > 0.2:",
        "if False:",
        "tests/lab/test_measures.py::test_the_ladder_fits_the_order_only_where_it_is_clean",
    ),
    Fault(
        "lab/distances.py",
        "s_x.trace() + s_y.trace() - 2 * cross",
        "s_x.trace() + s_y.trace() - cross",
        "tests/lab/test_measures.py::test_frechet_distance_has_its_closed_forms",
    ),
    Fault(
        "lab/distances.py",
        "(kernel(u, u).sum() - kernel(u, u).trace()) / (k * (k - 1))",
        "kernel(u, u).mean()",
        "tests/lab/test_measures.py::test_kernel_distance_is_unbiased",
    ),
    Fault(
        "lab/distances.py",
        "inner, outer = _nearest(own, own, same=True), _nearest(own, other, same=False)",
        "inner, outer = _nearest(own, own, same=True, k=2), _nearest(own, other, same=False)",
        "tests/lab/test_measures.py::test_nearest_neighbour_accuracy",
    ),
    Fault(
        "lab/em.py",
        "mass / mass.sum(), means",
        "torch.full_like(mass, 1 / len(mass)), means",
        "tests/lab/test_mixtures.py::test_em_finds_scikit_learns_optimum_from_separated_clusters",
    ),
    Fault(
        "lab/moments.py",
        "torch.outer(gap, gap) * (before * n / (before + n))",
        "0 * torch.outer(gap, gap)",
        "tests/lab/test_mixtures.py::test_one_pass_moments_are_numpys_even_far_from_the_origin",
    ),
    Fault(
        "lab/mixtures.py",
        "due = (rank + 0.5) / w[component]",
        "due = (rank + 0.5) * w[component]",
        "tests/lab/test_mixtures.py::test_every_prefix_of_the_schedule_is_in_proportion",
    ),
    Fault(
        "lab/losses.py",
        "return _weight(target, weighting, t, path) * error",
        "return error",
        "tests/lab/test_losses.py::test_weighting_velocity_is_the_loss_of_the_velocity_that_follows",
    ),
    Fault(
        "lab/losses.py",
        "return 0.5 + torch.sinh(self.steepness * (t - 0.5))",
        "return 0.5 + torch.tanh(self.steepness * (t - 0.5))",
        "tests/lab/test_losses.py::test_times_follow_the_closed_form_distribution_function",
    ),
    Fault(
        "lab/adaptive.py",
        'options={"step_t": at[-1:]}',
        "options={}",
        "tests/lab/test_solvers.py::test_an_adaptive_solver_integrates_to_the_last_time_and_never_looks_past_it",
    ),
)
