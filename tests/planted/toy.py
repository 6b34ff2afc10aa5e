"""Faults planted in the field, the couplings, the priors, the scenes and the traces of toy/."""

from tests.faults import Fault

FAULTS: tuple[Fault, ...] = (
    Fault(
        "toy/field.py",
        "gain = d_alpha * data_gain + path.sigma_d_sigma(time) * self._S",
        "gain = d_alpha * data_gain - path.sigma_d_sigma(time) * self._S",
        "tests/toy/test_field.py::test_folded_field_equals_the_plain_formula",
    ),
    Fault(
        "toy/field.py",
        "gain = gain + d_sigma * alpha * C",
        "gain = gain + d_sigma * alpha * C.transpose(0, 1)",
        "tests/toy/test_field.py::test_folded_field_equals_the_plain_formula",
    ),
    Fault(
        "toy/field.py",
        "V = V + alpha * sigma * (C + C.transpose(0, 1))",
        "V = V + 2 * alpha * sigma * C",
        "tests/toy/test_field.py::test_folded_field_equals_the_plain_formula",
    ),
    Fault(
        "toy/field.py",
        "logits = logits - self.class_weights[known[rows]].log()",
        "logits = logits - 0 * self.class_weights[known[rows]].log()",
        "tests/toy/test_field.py::test_density_at_the_clean_ends_is_the_mixtures_own",
    ),
    Fault(
        "toy/field.py",
        "offset, gain = pull, -precision",
        "offset, gain = pull, precision",
        "tests/toy/test_field.py::test_score_is_the_gradient_of_the_log_density",
    ),
    Fault(
        "toy/blocks.py",
        "return same * torch.outer(source.weights, target.weights) / target.class_weights[target.classes]",
        "return same * torch.outer(source.weights, target.weights) * target.class_count",
        "tests/toy/test_trace.py::test_a_class_plan_has_the_mixtures_margins_and_joins_equal_classes_alone",
    ),
    Fault(
        "toy/blocks.py",
        "source.covariances[:, None] @ maps)",
        "maps)",
        "tests/toy/test_trace.py::test_component_transport_is_cheaper_than_independence_keeps_the_margins_and_arrives",
    ),
    Fault(
        "toy/blocks.py",
        "squared_cost(source.means, target.means) + trace(source.covariances)[:, None] + trace(target.covariances)[None] - 2 * trace(cross)",
        "squared_cost(source.means, target.means) + trace(source.covariances)[:, None] + trace(target.covariances)[None] - trace(cross)",
        "tests/toy/test_trace.py::test_gaussian_transport_maps_and_distances_are_scipys",
    ),
    Fault(
        "toy/priors.py",
        "+ (share * (1 - share))[..., None, None]",
        "+ share[..., None, None]",
        "tests/toy/test_trace.py::test_merging_components_keeps_mean_and_covariance",
    ),
    Fault(
        "toy/priors.py",
        "shaped = scene.scale**2 * _shaped(",
        "shaped = scene.scale * _shaped(",
        "tests/toy/test_trace.py::test_a_conditional_prior_has_its_classes_moments_and_shapes",
    ),
    Fault(
        "toy/mixtures.py",
        'object.__setattr__(self, "covariances", symmetric(s))',
        'object.__setattr__(self, "covariances", s)',
        "tests/toy/test_scene.py::test_a_query_string_gives_the_same_scene_back",
    ),
    Fault(
        "toy/trace.py",
        "cost = cost - 2 * made.cross",
        "cost = cost - made.cross",
        "tests/toy/test_trace.py::test_the_cost_of_component_transport_is_the_plans_mean_bures_wasserstein_distance",
    ),
    Fault(
        "toy/world.py",
        "* (source.classes == c) / target.class_weights[c] if conditional else weights, len(rows))",
        "if conditional else weights, len(rows))",
        "tests/toy/test_trace.py::test_a_conditional_priors_components_are_stratified_within_each_class",
    ),
    Fault(
        "toy/world.py",
        "condition = _drawn(made.target.class_weights, chance)",
        "condition = schedule(made.target.class_weights, len(chance))",
        "tests/toy/test_trace.py::test_over_ten_seeds_end_points_of_an_accurate_solver_are_at_the_floor",
    ),
    Fault(
        "toy/fitted.py",
        "cross[every, every] = fit.covariances[:, :2, 2:]",
        "cross[every, every] = fit.covariances[:, 2:, :2]",
        "tests/toy/test_fitted.py::test_one_gaussian_of_pairs_has_their_moments",
    ),
    Fault(
        "toy/pair_mixtures.py",
        "scale[:, None] * fit.covariances * scale, g",
        "scale[:, None] * fit.covariances, g",
        "tests/toy/test_fitted.py::test_the_margins_of_the_fit_are_the_prior_and_the_target",
    ),
    Fault(
        "toy/sampled_pairs.py",
        "found[start : start + size] = start + index",
        "found[start : start + size] = index",
        "tests/toy/test_pairs.py::test_each_batch_is_paired_at_scipys_optimum",
    ),
    Fault(
        "toy/drawn_pairs.py",
        "made.target.covariances[None] - gain @ made.cross",
        "made.target.covariances[None]",
        "tests/toy/test_pairs.py::test_pairs_of_component_transport_have_its_cross_covariance",
    ),
    Fault(
        "toy/trace.py",
        "wrong_class=float((own_class != exact_class).double().mean())",
        "wrong_class=float((own_class != shown.condition).double().mean())",
        "tests/toy/test_trace.py::test_wrong_class_counts_ends_in_another_class_than_the_exact_ends",
    ),
    Fault(
        "toy/world.py",
        'shown.condition if scene.sees == "class" else None)',
        "None)",
        "tests/toy/test_trace.py::test_full_transport_of_a_field_that_sees_the_class_stays_within_classes",
    ),
    Fault(
        "toy/trace.py",
        "coupling = max(0.0, whole.value**2 - fresh.floor**2) ** 0.5",
        "coupling = whole.value",
        "tests/toy/test_trace.py::test_the_coupling_share_is_what_the_exact_flow_lacks_and_arises_for_blind_transport_alone",
    ),
    Fault(
        "toy/fitted.py",
        "truth = fit_pairs(pairs, component, 2 * chosen,",
        "truth = fit_pairs(pairs, component, chosen,",
        "tests/toy/test_fitted.py::test_the_stated_error_is_a_bootstrap_from_twice_as_many_sub_components",
    ),
    Fault(
        "lab/reference.py",
        "if all(e.resolved for e in errors) or steps >= MOST_STEPS:",
        "if any(e.resolved for e in errors) or steps >= MOST_STEPS:",
        "tests/lab/test_measures.py::test_the_reference_is_refined_until_it_is_good_enough_and_its_error_is_bounded_by_what_it_says",
    ),
    Fault(
        "toy/clouds.py",
        "wasserstein2(drawn[0], drawn[1])",
        "wasserstein2(shown, drawn[1])",
        "tests/toy/test_targets.py::test_w2_and_its_floor_are_those_of_independent_samples_as_many_as_the_cloud[1]",
    ),
    Fault(
        "toy/clouds.py",
        "for stream in (11, 12)",
        "for stream in (11, 11)",
        "tests/toy/test_targets.py::test_w2_and_its_floor_are_those_of_independent_samples_as_many_as_the_cloud[1]",
    ),
    Fault(
        "toy/clouds.py",
        "random.uniforms(seed, rows, 1, stream)[:, 0].contiguous()",
        "(rows.double() + 0.5) / count",
        "tests/toy/test_targets.py::test_w2_and_its_floor_are_those_of_independent_samples_as_many_as_the_cloud[2]",
    ),
    Fault(
        "toy/clouds.py",
        "partial.log_prob(cloud[test])",
        "partial.log_prob(cloud[train])",
        "tests/toy/test_targets.py::test_the_held_out_likelihood_is_of_points_not_fitted",
    ),
    Fault(
        "toy/clouds.py",
        "partial = mixture_of_classes(cloud[train], classes[train],",
        "partial = mixture_of_classes(cloud, classes,",
        "tests/toy/test_targets.py::test_the_held_out_likelihood_is_of_points_not_fitted",
    ),
)
