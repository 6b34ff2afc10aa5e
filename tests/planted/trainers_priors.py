"""Faults planted in the fitted priors of trainers/: statistics, shrinkage, mixtures, text mappers, files."""

from tests.faults import Fault

HERE = "tests/trainers/priors"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "trainers/priors/visits.py",
        "if self.flips:\n                    yield",
        "if False:\n                    yield",
        f"{HERE}/test_gaussians.py::test_mirrored_data_make_a_mirrored_prior_except_of_items_that_may_not_be_mirrored",
    ),
    Fault(
        "trainers/priors/visits.py",
        'if self.recipe.autoencoder.posterior == "mean":',
        "if True:",
        f"{HERE}/test_gaussians.py::test_latents_are_drawn_from_the_posterior_where_the_recipe_draws_them",
    ),
    Fault(
        "trainers/priors/class_statistics.py",
        "fallback_below=max(2, self.each * few),",
        "fallback_below=max(2, few),",
        f"{HERE}/test_gaussians.py::test_classes_with_few_members_take_the_pooled_covariance_and_are_named",
    ),
    Fault(
        "trainers/priors/class_statistics.py",
        "moments.update(self.mean_of_all.expand(",
        "moments.update(0 * self.mean_of_all.expand(",
        f"{HERE}/test_gaussians.py::test_a_class_without_members_takes_the_mean_of_all_and_the_pooled_covariance[full]",
    ),
    Fault(
        "trainers/priors/class_statistics.py",
        "left = ((spread.variances - before * level) / (1 - before)).clamp(min=0)",
        "left = (spread.variances / (1 - before)).clamp(min=0)",
        f"{HERE}/test_gaussians.py::test_low_rank_at_any_shrinkage_is_the_fit_at_that_shrinkage[0.2]",
    ),
    Fault(
        "trainers/priors/shrinkage.py",
        "return Choice(max(possible, key=lambda pair: pair[0])[1], curve)",
        "return Choice(max(possible, key=lambda pair: pair[1])[1], curve)",
        f"{HERE}/test_gaussians.py::test_shrinkage_is_near_the_best_that_knowing_the_truth_would_choose[400]",
    ),
    Fault(
        "trainers/priors/parts.py",
        "return None if self.rest is None else ~self.rest",
        "return None",
        f"{HERE}/test_gaussians.py::test_without_a_held_out_split_a_fifth_is_kept_for_the_choice_and_then_fitted_to_as_well",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        "torch.full((len(rows),), k)) + self.weights[k].log().item())",
        "torch.full((len(rows),), k)) - 0.0 * k)",
        f"{HERE}/test_mixtures.py::test_the_density_is_scipys",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        "return self.gaussians.from_normals(z, self._first[label] + k)",
        "return self.gaussians.from_normals(z, k)",
        f"{HERE}/test_mixtures.py::test_uniform_numbers_choose_components_by_their_weights_within_the_class",
    ),
    Fault(
        "trainers/priors/clustering.py",
        "first = int(torch.searchsorted(self.owner, c))",
        "first = 0",
        f"{HERE}/test_mixtures.py::test_in_thousands_of_dimensions_with_few_members[True]",
    ),
    Fault(
        "trainers/priors/cross_fitting.py",
        "return said[torch.cat(rows).argsort()]",
        "return said",
        f"{HERE}/test_texts.py::test_training_takes_the_folds_own_mapper_and_sampling_the_mean_of_all",
    ),
    Fault(
        "trainers/priors/cross_fitting.py",
        "        self.eval()\n",
        "",
        f"{HERE}/test_files.py::test_a_state_and_a_file_give_the_prior_back_bit_for_bit[text-gaussian-none]",
    ),
    Fault(
        "trainers/priors/texts.py",
        "items = torch.nonzero(among & (fold != f) if options.folds > 1 else among)[:, 0]",
        "items = torch.nonzero(among & (fold == f) if options.folds > 1 else among)[:, 0]",
        f"{HERE}/test_texts.py::test_an_items_training_prior_does_not_move_whatever_its_latent_is[2]",
    ),
    Fault(
        "trainers/priors/texts.py",
        "others = 1 - torch.eye(len(counts), dtype=torch.float64) if len(counts) > 1 else",
        "others = torch.ones(len(counts), len(counts), dtype=torch.float64) if len(counts) > 1 else",
        f"{HERE}/test_texts.py::test_an_items_training_prior_does_not_move_whatever_its_latent_is[3]",
    ),
    Fault(
        "trainers/priors/texts.py",
        "left = residual(mapper.unseen, training.all(",
        "left = residual(lambda e, index: mapper(e), training.all(",
        f"{HERE}/test_texts.py::test_sigma_is_the_root_mean_squared_residual_of_items_under_mappers_that_did_not_see_them",
    ),
    Fault(
        "trainers/priors/mapper_training.py",
        "    mapper.load_state_dict(best)\n",
        "",
        f"{HERE}/test_texts.py::test_the_weights_of_least_held_out_loss_are_kept",
    ),
    Fault(
        "trainers/priors/fitted.py",
        'if name != "seconds"}',
        "}",
        f"{HERE}/test_files.py::test_the_same_fit_gives_the_same_bytes[class-gaussian]",
    ),
    Fault(
        "lab/priors/class_covariances.py",
        "torch.cat((s, moments.pooled[None])) if pooled",
        "torch.cat((s, s.mean(0)[None])) if pooled",
        f"{HERE}/test_gaussians.py::test_a_small_class_takes_the_weighted_mean_of_all_classes_covariances_its_own_included",
    ),
    Fault(
        "lab/priors/class_covariances.py",
        "return Full.of(_shrunk(moments.pooled[None], shrinkage))",
        "return Full.of(_shrunk(moments.pooled[None] * 1.01, shrinkage))",
        f"{HERE}/test_gaussians.py::test_the_samples_covariance_is_the_forms_closed_form[pooled-0.0]",
    ),
    Fault(
        "lab/priors/class_covariances.py",
        "return (singular[:rank, None] * directions[:rank]).T / freedom**0.5",
        "return (singular[:rank, None] * directions[:rank]).T / (freedom + 1) ** 0.5",
        f"{HERE}/test_gaussians.py::test_the_samples_covariance_is_the_forms_closed_form[low-rank-0.2]",
    ),
    Fault(
        "trainers/priors/shrinkage.py",
        "numbers += flat(x).numel()",
        "numbers += len(x)",
        f"{HERE}/test_gaussians.py::test_the_chosen_shrinkage_is_the_grids_own_argmax_of_the_held_out_likelihood",
    ),
    Fault(
        "lab/priors/class_mixture.py",
        "singular = self.gaussians.spread.singular[self.gaussians.group]",
        "singular = self.gaussians.spread.singular.new_zeros(len(self.owner))",
        "tests/lab/test_priors.py::test_a_mixture_names_the_class_with_a_component_that_has_no_density",
    ),
    Fault(
        "trainers/priors/texts.py",
        '    say(\n        f"text mappers:',
        '    str(\n        f"text mappers:',
        f"{HERE}/test_texts.py::test_a_fit_says_what_it_is_about_to_do_and_how_each_mapper_went",
    ),
)
