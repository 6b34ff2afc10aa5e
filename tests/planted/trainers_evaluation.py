"""Faults planted in the feature networks, scores and evaluations of trainers/."""

from tests.faults import Fault

TESTS = "tests/trainers/evaluation"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "trainers/features/efficientnet.py",
        "(levels.float() - 127) / 128",
        "levels.float() / 255",
        f"{TESTS}/test_features.py::test_efficientnet_is_the_packages_own_network_on_pillows_pixels",
    ),
    Fault(
        "trainers/features/resize.py",
        "antialias=True",
        "antialias=False",
        f"{TESTS}/test_features.py::test_resizing_is_pillows_bicubic",
    ),
    Fault(
        "trainers/features/inception.py",
        "if found != (sha256 or SHA256).lower():",
        "if sha256 and found != sha256.lower():",
        f"{TESTS}/test_features.py::test_torchscript_runs_only_from_a_command_line_and_only_with_the_expected_hash",
    ),
    Fault(
        "trainers/features/__init__.py",
        "if not torchscript:",
        "if False:",
        f"{TESTS}/test_features.py::test_torchscript_runs_only_from_a_command_line_and_only_with_the_expected_hash",
    ),
    Fault(
        "trainers/features/transformers_models.py",
        '("missing", "unexpected", "mismatched")',
        '("unexpected", "mismatched")',
        f"{TESTS}/test_features.py::test_a_transformers_model_with_missing_weights_is_refused",
    ),
    Fault(
        "trainers/evaluation/scores.py",
        "float(found.std()) * math.sqrt(size / (least - size) + 1 / subsets)",
        "float(found.std()) / math.sqrt(subsets)",
        f"{TESTS}/test_scores.py::test_standard_errors_are_the_spread_over_draws",
    ),
    Fault(
        "trainers/evaluation/scores.py",
        "influence = 2 * gap @ (generated.mean - real.mean) + gap.square().sum(1) - ((gap @ carry) * gap).sum(1)",
        "influence = 2 * gap @ (generated.mean - real.mean) + gap.square().sum(1)",
        f"{TESTS}/test_scores.py::test_the_frechet_error_in_one_dimension_is_the_closed_form",
    ),
    Fault(
        "trainers/evaluation/scores.py",
        "among[torch.arange(len(some_real)), torch.arange(start, start + len(some_real))] = torch.inf",
        "among[torch.arange(len(some_real)), torch.arange(len(some_real))] = torch.inf",
        f"{TESTS}/test_scores.py::test_coverage_is_a_plain_loop_in_pieces_too",
    ),
    Fault(
        "trainers/evaluation/moments.py",
        "np.load(path, allow_pickle=False)",
        "np.load(path, allow_pickle=True)",
        f"{TESTS}/test_published.py::test_no_pickle_is_ever_loaded",
    ),
    Fault(
        "trainers/evaluation/moments.py",
        "if len(mu) != dimension:",
        "if len(mu) < dimension:",
        f"{TESTS}/test_evaluate.py::test_published_statistics_take_the_place_of_the_split_and_need_no_data",
    ),
    Fault(
        "trainers/evaluation/references.py",
        '        "fingerprint": images.fingerprint,\n',
        "",
        f"{TESTS}/test_references.py::test_other_pictures_splits_features_and_numbers_of_kept_ones_have_files_of_their_own",
    ),
    Fault(
        "trainers/evaluation/references.py",
        ' and hash_of(tensors) == numbers["hash"]',
        "",
        f"{TESTS}/test_references.py::test_a_damaged_file_is_named_and_made_again",
    ),
    Fault(
        "trainers/evaluation/flow_measures.py",
        "subject.prior.log_prob(x.cpu() / first, condition) - dimension * math.log(first)",
        "subject.prior.log_prob(x.cpu() / first, condition)",
        f"{TESTS}/test_flow_measures.py::test_on_a_path_that_starts_unclean_the_start_share_is_said",
    ),
    Fault(
        "trainers/evaluation/flow_measures.py",
        "return field if guidance == 1 else Guided(",
        "return field if guidance >= 1 else Guided(",
        f"{TESTS}/test_flow_measures.py::test_guidance_moves_the_flow_and_its_evaluations_are_counted_twice",
    ),
    Fault(
        "trainers/evaluation/samples.py",
        "first=int(numbers[0]),",
        "first=0,",
        f"{TESTS}/test_evaluate.py::test_a_chunk_boundary_changes_nothing_but_rounding",
    ),
    Fault(
        "trainers/evaluation/protocol.py",
        "if nfe != 0 and (self.plan.solver",
        "if (self.plan.solver",
        f"{TESTS}/test_evaluate.py::test_solver_error_and_flow_are_the_closed_forms",
    ),
    Fault(
        "trainers/evaluation/real_pictures.py",
        "(self.split, self.other) if self.split.images.split == train_split else (self.other, self.split)",
        "(self.other, self.split)",
        f"{TESTS}/test_evaluate.py::test_compared_with_the_training_split_the_held_out_pictures_are_the_other_ones",
    ),
    Fault(
        "trainers/evaluation/moments.py",
        "/ math.sqrt(found.count - 1)",
        "/ math.sqrt(found.count)",
        f"{TESTS}/test_scores.py::test_frechet_distance_by_the_pictures_own_rows_is_that_of_scipy_and_lab",
    ),
    Fault(
        "trainers/evaluation/flow_measures.py",
        "while (following := finer(tolerance, finest)) is not None and",
        "while (following := None) and",
        f"{TESTS}/test_flow_measures.py::test_ends_are_made_as_exact_as_the_errors_that_they_judge_need_and_no_more",
    ),
    Fault(
        "trainers/evaluation/flow_measures.py",
        "generator.set_state(drawn)",
        "pass",
        f"{TESTS}/test_flow_measures.py::test_the_likelihood_says_how_far_off_its_integral_is",
    ),
    Fault(
        "trainers/evaluation/samples.py",
        "ADAPTIVE_BATCH if nfe is None else BATCH",
        "BATCH",
        f"{TESTS}/test_evaluate.py::test_one_seed_gives_the_same_numbers_with_and_without_a_cache_and_in_other_chunks",
    ),
    Fault(
        "trainers/evaluation/flow_measures.py",
        "math.isclose(tolerance, finest, rel_tol=1e-6) or tolerance < finest",
        "tolerance <= finest",
        "tests/trainers/evaluation/test_flow_measures.py::test_at_the_finest_tolerance_ends_are_still_set_beside_those_at_ten_times_it",
    ),
    Fault(
        "trainers/cli.py",
        "except Terminated:",
        "except ZeroDivisionError:",
        "tests/trainers/latents/test_cache_command.py::test_sigterm_ends_it_with_a_line_and_the_status_of_what_can_go_on",
    ),
)
