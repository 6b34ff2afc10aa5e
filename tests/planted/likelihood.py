"""Faults planted in the likelihood, guidance, and in the measures and distances that tests/planted/lab.py leaves out."""

from tests.faults import Fault

LIKELIHOOD = "tests/lab/test_likelihood.py"
GUIDANCE = "tests/lab/test_guidance.py"
MEASURES = "tests/lab/test_measures.py"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "lab/likelihood.py",
        "LogLikelihood(start + change.mean(1), x_0",
        "LogLikelihood(start - change.mean(1), x_0",
        f"{LIKELIHOOD}::test_a_linear_flow_on_images_has_its_closed_form",
    ),
    Fault(
        "lab/likelihood.py",
        "[gradient_of(rows[:, i].sum(), more=i < last)[:, i] for i in range(last + 1)]",
        "[gradient_of(rows[:, i].sum(), more=i < last)[:, i] for i in range(last)]",
        f"{LIKELIHOOD}::test_the_divergence_is_the_trace_of_autograds_jacobian",
    ),
    Fault(
        "lab/likelihood.py",
        "1.0 if path is None else path.last_time)",
        "1.0)",
        f"{LIKELIHOOD}::test_the_likelihood_of_a_mixture_is_its_density[vp-position]",
    ),
    Fault(
        "lab/likelihood.py",
        "return (2 * torch.randint(2, shape, generator=self.generator, device=device) - 1).to(x.device, x.dtype)",
        "return torch.randint(-1, 2, shape, generator=self.generator, device=device).to(x.device, x.dtype)",
        f"{LIKELIHOOD}::test_signs_are_exact_where_the_field_acts_on_each_coordinate_alone",
    ),
    Fault(
        "lab/likelihood.py",
        "shape, device = (self.probes, *x.shape), self.generator.device",
        "shape, device = (self.probes, 1, *x.shape[1:]), self.generator.device",
        f"{LIKELIHOOD}::test_probes_stay_the_same_along_a_trajectory_differ_between_samples_and_come_from_the_generator",
    ),
    Fault(
        "lab/likelihood.py",
        "return traces.std(1) / math.sqrt(traces.shape[1])",
        "return traces.std(1)",
        f"{LIKELIHOOD}::test_the_reported_standard_error_covers_the_truth_as_often_as_it_should",
    ),
    Fault(
        "lab/likelihood.py",
        "float(self.standard_error.square().sum().sqrt()) / len(self.standard_error)",
        "float(self.standard_error.mean())",
        f"{LIKELIHOOD}::test_hutchinsons_spread_is_the_theorys_and_its_mean_the_trace",
    ),
    Fault(
        "lab/likelihood.py",
        "create_graph=differentiable,",
        "create_graph=False,",
        f"{LIKELIHOOD}::test_gradients_in_x_are_the_score_and_reach_parameters",
    ),
    Fault(
        "lab/likelihood.py",
        "with torch.inference_mode(False), torch.enable_grad():",
        "with torch.enable_grad():",
        f"{LIKELIHOOD}::test_networks_are_measured_where_no_gradients_are_kept",
    ),
    Fault(
        "lab/likelihood.py",
        "math.log2(levels / (high - low))",
        "math.log2(levels / 2)",
        f"{LIKELIHOOD}::test_uniform_pixels_under_a_uniform_model_cost_eight_bits",
    ),
    Fault(
        "lab/likelihood.py",
        "torch.logsumexp(draws, 0) - math.log(len(draws))",
        "draws.mean(0)",
        f"{LIKELIHOOD}::test_k_dequantisations_are_averaged_by_name",
    ),
    Fault(
        "lab/likelihood.py",
        "log_det = 2 * pivots.log().sum(-1)",
        "log_det = pivots.log().sum(-1)",
        f"{LIKELIHOOD}::test_a_gaussian_source_has_torchs_density",
    ),
    Fault(
        "lab/likelihood.py",
        "bad = ~torch.isfinite(log_p_0)",
        "bad = torch.isnan(log_p_0)",
        f"{LIKELIHOOD}::test_singular_priors_have_no_likelihood",
    ),
    Fault(
        "lab/likelihood.py",
        "self.evaluations_per_call = evaluations_per_call(velocity)",
        "self.evaluations_per_call = 1",
        f"{LIKELIHOOD}::test_a_guided_field_counts_both_its_branches",
    ),
    Fault(
        "lab/guidance.py",
        "guided = (1 + self.weight) * conditional - self.weight * unconditional",
        "guided = self.weight * conditional - (self.weight - 1) * unconditional",
        f"{GUIDANCE}::test_both_conventions_name_one_field",
    ),
    Fault(
        "lab/guidance.py",
        'OFF = {"extra": 0.0, "scale": 1.0}',
        'OFF = {"extra": 0.0, "scale": 0.0}',
        f"{GUIDANCE}::test_off_is_the_conditional_field_itself_and_costs_what_it_costs",
    ),
    Fault(
        "lab/guidance.py",
        "return evaluations_per_call(self.velocity) * (1 if self.is_off else 2)",
        "return 2",
        f"{GUIDANCE}::test_guiding_a_guided_field_costs_twice_as_much",
    ),
    Fault(
        "lab/guidance.py",
        "inside = (t >= low - slack) &",
        "inside = (t > low + slack) &",
        f"{GUIDANCE}::test_outside_its_interval_guidance_rests_and_costs_nothing",
    ),
    Fault(
        "lab/guidance.py",
        "return torch.full_like(condition, null)",
        "return torch.zeros_like(condition)",
        f"{GUIDANCE}::test_a_null_class_or_embedding_is_what_the_unconditional_call_sees",
    ),
    Fault(
        "lab/guidance.py",
        "size.append(mean_square(conditional))",
        "size.append(mean_square(conditional).sqrt())",
        f"{GUIDANCE}::test_the_gap_of_a_field_by_hand",
    ),
    Fault(
        "lab/distances.py",
        "torch.exp(-0.5 * squared_cost(u, v) / bandwidth**2)",
        "torch.exp(-squared_cost(u, v) / bandwidth**2)",
        f"{MEASURES}::test_mmd_of_two_gaussians_is_the_closed_form",
    ),
    Fault(
        "lab/distances.py",
        "return x - centre, y - centre",
        "return x, y",
        f"{MEASURES}::test_nearest_neighbours_by_hand_with_ties_and_far_from_the_origin",
    ),
    Fault(
        "lab/distances.py",
        "0.5 * (gap.abs() <= rounding)",
        "0.0 * (gap.abs() <= rounding)",
        f"{MEASURES}::test_nearest_neighbours_by_hand_with_ties_and_far_from_the_origin",
    ),
    Fault(
        "lab/distances.py",
        "return PrecisionRecall(covered(g, r), covered(r, g))",
        "return PrecisionRecall(covered(r, g), covered(g, r))",
        f"{MEASURES}::test_precision_and_recall_by_hand",
    ),
    Fault(
        "lab/measures.py",
        "AccelerationAlong(0.5 * (t[1:] + t[:-1]), mean_square(rate))",
        "AccelerationAlong(t[:-1], mean_square(rate))",
        f"{MEASURES}::test_a_rotation_has_its_closed_form_bending_acceleration_and_efficiency",
    ),
    Fault(
        "lab/measures.py",
        "(values * trajectory.t.diff().abs().to(values.dtype)).sum()",
        "values.mean() * 2",
        f"{MEASURES}::test_acceleration_is_what_eulers_error_follows",
    ),
    Fault(
        "lab/measures.py",
        "displacement < 0.05 * spread",
        "displacement < 0.04 * spread",
        f"{MEASURES}::test_path_efficiency_is_not_shown_below_a_twentieth_of_the_spread",
    ),
    Fault(
        "lab/measures.py",
        "x_1.double()).square().mean())",
        "x_1.double()).mean())",
        f"{MEASURES}::test_costs_of_coupling_and_flow_differ",
    ),
)
