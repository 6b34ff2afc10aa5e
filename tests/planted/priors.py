"""Faults planted in the priors, their covariances and the moments that they are fitted to."""

from tests.faults import Fault

TESTS = "tests/lab/test_priors.py"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "lab/moments.py",
        "own = points - self._origin[labels]",
        "own = points - 0 * self._origin[labels]",
        f"{TESTS}::test_one_pass_over_any_batches_is_numpys_fit_even_at_an_offset_of_a_hundred_million",
    ),
    Fault(
        "lab/moments.py",
        "(before * n / (before + n)).sqrt()",
        "(before * n / (before + n + 1)).sqrt()",
        f"{TESTS}::test_one_pass_over_any_batches_is_numpys_fit_even_at_an_offset_of_a_hundred_million[7]",
    ),
    Fault(
        "lab/moments.py",
        "freedom = int((self.counts - 1).clamp(min=0).sum())",
        "freedom = int(self.counts.sum())",
        f"{TESTS}::test_rare_classes_take_the_pooled_covariance_and_keep_their_mean",
    ),
    Fault(
        "lab/moments.py",
        "share = ((energy[:kept] - cut).clamp(min=0) /",
        "share = (energy[:kept].clamp(min=0) /",
        f"{TESTS}::test_a_sketch_is_exact_up_to_its_rows_and_bounded_beyond",
    ),
    Fault(
        "lab/moments.py",
        "merged, lost = torch.zeros_like(self.sketch[0]), float(self.lost.sum())",
        "merged, lost = torch.zeros_like(self.sketch[0]), 0.0",
        f"{TESTS}::test_pooled_sketches_bound_the_pooled_covariance_and_low_rank_keeps_every_variance",
    ),
    Fault(
        "lab/priors/covariances.py",
        "square = white.square().sum(1) - (gains / (1 + gains) * along.square()).sum(1)",
        "square = white.square().sum(1) - (gains * along.square()).sum(1)",
        f"{TESTS}::test_class_density_is_scipys[low-rank-(5,)-0.0]",
    ),
    Fault(
        "lab/priors/covariances.py",
        "return self.gains / (1 + (1 + self.gains).sqrt())",
        "return self.gains.sqrt()",
        f"{TESTS}::test_low_rank_density_in_dimensions_whose_matrix_would_take_a_terabyte",
    ),
    Fault(
        "lab/priors/covariances.py",
        "return _each(lambda g, own: own @ factors[g].T, z.to(factors.dtype), group)",
        "return _each(lambda g, own: own @ factors[g], z.to(factors.dtype), group)",
        f"{TESTS}::test_sample_moments_are_those_of_the_class_within_four_standard_errors[full]",
    ),
    Fault(
        "lab/priors/covariances.py",
        "return torch.cat(parts)[order.argsort()]",
        "return torch.cat(parts)[order]",
        f"{TESTS}::test_gaussian_priors_are_affine_in_the_normals_sample_by_sample_in_any_dtype",
    ),
    Fault(
        "lab/conversions.py",
        "(eigenvalues[:, 0] <= 10 * size * EPS * eigenvalues[:, -1])",
        "(unit.diagonal(dim1=-2, dim2=-1).square() <= 10 * size * EPS).any(-1)",
        f"{TESTS}::test_every_covariance_of_too_few_members_is_found_singular",
    ),
    Fault(
        "lab/conversions.py",
        "unit = factors / torch.where(deviations > 0, deviations, 1)[..., None]",
        "unit = factors",
        f"{TESTS}::test_a_regular_covariance_of_unequal_units_is_not_called_singular",
    ),
    Fault(
        "lab/priors/covariances.py",
        ".double().cpu().contiguous())",
        ".double().cpu())",
        f"{TESTS}::test_a_gaussian_prior_comes_back_bit_for_bit_from_safetensors",
    ),
    Fault(
        "lab/priors/class_covariances.py",
        "return (1 - shrinkage) * s + shrinkage * level * torch.eye(",
        "return s + shrinkage * level * torch.eye(",
        f"{TESTS}::test_shrinkage_mixes_in_the_mean_variance_and_cures_singular_covariances",
    ),
    Fault(
        "lab/priors/class_covariances.py",
        "return LowRank.of((1 - shrinkage) * left + level, (1 - shrinkage) ** 0.5 * roots)",
        "return LowRank.of((1 - shrinkage) * left + level, (1 - shrinkage) * roots)",
        f"{TESTS}::test_class_density_is_scipys[low-rank-(5,)-0.3]",
    ),
    Fault(
        "lab/priors/class_gaussian.py",
        "else moments.counts < fallback_below",
        "else moments.counts <= fallback_below",
        f"{TESTS}::test_rare_classes_take_the_pooled_covariance_and_keep_their_mean",
    ),
    Fault(
        "lab/priors/class_gaussian.py",
        "white.shape[1] * log(self.scale)",
        "log(self.scale)",
        f"{TESTS}::test_class_density_is_scipys[none-(5,)-0.0]",
    ),
    Fault(
        "lab/priors/class_gaussian.py",
        "return self.mean * self.means[label]",
        "return self.means[label]",
        f"{TESTS}::test_mean_and_scale_can_be_changed_afterwards",
    ),
    Fault(
        "lab/priors/class_gaussian.py",
        "covariance = self.scale**2 * self.spread.source(group)",
        "covariance = self.scale * self.spread.source(group)",
        f"{TESTS}::test_the_gaussian_source_has_the_score_of_the_density",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        "<= u[:, None]).sum(1)",
        "< u[:, None]).sum(1)",
        f"{TESTS}::test_uniform_numbers_choose_components_by_cumulative_weight",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        "torch.arange(width) < last, table",
        "torch.arange(width) < width, table",
        f"{TESTS}::test_uniform_numbers_choose_components_by_cumulative_weight",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        "choose_components(own, possible, generator=generator, share=SHARE).components",
        "max(possible)",
        f"{TESTS}::test_held_out_likelihood_finds_two_modes_in_a_class_of_two_and_one_in_a_class_of_one",
    ),
    Fault(
        "lab/priors/text.py",
        "with torch.no_grad(), _evaluating(self.mapper):",
        "with torch.no_grad():",
        f"{TESTS}::test_the_mapper_is_evaluated_without_dropout_or_gradient_and_keeps_its_mode",
    ),
    Fault(
        "lab/priors/text.py",
        "            mapper.load_state_dict(weights)\n",
        "",
        f"{TESTS}::test_a_text_prior_comes_back_with_its_mappers_weights",
    ),
    Fault(
        "lab/priors/class_gaussian.py",
        '"low-rank": rank + 2}',
        '"low-rank": rank + 1}',
        f"{TESTS}::test_low_rank_classes_need_two_members_more_than_the_rank",
    ),
    Fault(
        "lab/priors/class_gaussian.py",
        'regular = {"full": dimension + 1, "low-rank": rank + 2}',
        'regular = {"full": dimension + 1, "low-rank": rank + 3}',
        f"{TESTS}::test_low_rank_classes_need_two_members_more_than_the_rank",
    ),
    Fault(
        "lab/priors/class_covariances.py",
        "min(2 * rank, dimension)",
        "min(rank, dimension)",
        f"{TESTS}::test_low_rank_is_fitted_from_batches_by_a_sketch_of_twice_the_rank_or_the_dimension_if_less",
    ),
    Fault(
        "lab/priors/class_covariances.py",
        "min(2 * rank, dimension) if rows",
        "min(3 * rank, dimension) if rows",
        f"{TESTS}::test_low_rank_is_fitted_from_batches_by_a_sketch_of_twice_the_rank_or_the_dimension_if_less",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        "len(own) - max(1, int(SHARE * len(own))) if",
        "len(own) if",
        f"{TESTS}::test_components_need_members_enough_without_those_held_out",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        "max(1, int(SHARE * len(own))) if len(candidates) > 1",
        "int(SHARE * len(own)) if len(candidates) > 1",
        f"{TESTS}::test_components_need_members_enough_without_those_held_out",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        " if len(candidates) > 1 else len(own)",
        "",
        f"{TESTS}::test_components_need_members_enough_without_those_held_out",
    ),
    Fault(
        "lab/priors/covariances.py",
        "noise = len(s) * EPS *",
        "noise = 0 *",
        f"{TESTS}::test_samples_of_a_singular_covariance_stay_in_its_plane_and_keep_their_least_variance",
    ),
    Fault(
        "lab/priors/covariances.py",
        "noise = len(s) * EPS * values",
        "noise = 1e-9 * values",
        f"{TESTS}::test_samples_of_a_singular_covariance_stay_in_its_plane_and_keep_their_least_variance",
    ),
)
