"""Faults planted in what a run is gone on with."""

from tests.faults import Fault

PAIRS = "tests/trainers/sampling/test_pairs.py::"
HDF5 = "tests/trainers/sampling/test_hdf5_pairs.py::"
SAME = "tests/trainers/training/test_same_data.py::"
FAULTS = (
    Fault("trainers/identity.py", "    if changed:", "    if False:", SAME + "test_a_run_is_not_gone_on_with_over_other_pictures"),
    Fault("trainers/latents/build.py", "        if moved:", "        if False:", SAME + "test_pictures_that_moved_are_the_same"),
    Fault(
        "trainers/files.py",
        'return path.name.startswith(".") and path.name.endswith(".partial")',
        "return False",
        SAME + "test_a_start_that_was_killed_can_be_made_again",
    ),
    Fault(
        "trainers/training.py",
        "damaged.folder.name > checkpoint.folder.name",
        "False",
        SAME + "test_a_damaged_checkpoint_does_not_cost_a_sound_one",
    ),
    Fault(
        "trainers/data/hdf5.py",
        "hash_of((*named, *self._tasted()))",
        "hash_of(named)",
        "tests/trainers/data/test_hdf5.py::test_other_values_in_files_of_the_same_size_are_another_fingerprint",
    ),
    Fault(
        "trainers/identity.py",
        "if before is None:",
        "if False:",
        SAME + "test_a_checkpoint_that_does_not_say_its_data_is_not_gone_on_with",
    ),
    Fault(
        "trainers/identity.py",
        '{"classes": manifest["classes"], "autoencoder": manifest["made"]["autoencoder hash"]}',
        '{"classes": manifest["classes"]}',
        SAME + "test_an_identity_knows_classes_and_autoencoder",
    ),
    Fault(
        "trainers/identity.py",
        '{"classes": manifest["classes"], "autoencoder"',
        '{"autoencoder"',
        SAME + "test_an_identity_knows_classes_and_autoencoder",
    ),
    Fault(
        "trainers/identity.py",
        '[manifest["teacher_sha256"], *(shard["sha256"] for shard in manifest["shards"])]',
        '[*(shard["sha256"] for shard in manifest["shards"])]',
        PAIRS + "test_an_identity_of_pairs_is_their_contents_teacher_and_seed",
    ),
    Fault(
        "trainers/pairs.py",
        'if not _sound(folder, {"file": TEACHER,',
        'if False and not _sound(folder, {"file": TEACHER,',
        PAIRS + "test_a_teachers_file_that_was_changed_is_refused_and_made_again",
    ),
    Fault(
        "trainers/pairs.py",
        "(captions.hash, encoder_hash(recipe.text)) != (",
        '(captions.hash, manifest["text_encoder"]) != (',
        PAIRS + "test_pairs_that_were_told_other_captions_are_refused",
    ),
    Fault(
        "trainers/loop.py",
        "bad = self._of_all(bad) if together else bad",
        "bad = bad",
        "tests/trainers/training/test_distributed.py::test_a_divergence_in_one_of_two_processes_is_one_line_with_its_samples",
    ),
    Fault(
        "trainers/data/images.py",
        "items[k * len(items) // limit]",
        "items[k]",
        "tests/trainers/data/test_folders.py::test_a_limit_is_spread_over_the_classes",
    ),
    Fault(
        "trainers/training.py",
        "        meta_network(recipe)\n",
        "        pass\n",
        "tests/trainers/training/test_ends.py::test_a_network_that_cannot_be_is_refused_before_anything_is_encoded",
    ),
    Fault(
        "trainers/training.py",
        ", fits=lambda count: Order(count, recipe.training.batch, recipe.training.seed))",
        ")",
        "tests/trainers/training/test_ends.py::test_a_batch_that_cannot_be_filled_is_refused_before_anything_is_encoded",
    ),
    Fault(
        "trainers/recipes/guidance.py",
        "(scale, prior) == (preset.sampling.guidance, preset.prior.kind)",
        "scale == preset.sampling.guidance",
        "tests/trainers/recipes/test_settings.py::test_guidance_without_something_to_compare_with_is_warned_about",
    ),
    Fault(
        "trainers/evaluation/options.py",
        "options.exact or min(EXACT, options.tolerance / LOOSER if options.adaptive else EXACT)",
        "options.exact or EXACT",
        "tests/trainers/evaluation/test_evaluate.py::test_exact_ends_are_ten_times_finer_than_the_adaptive_row_unless_told",
    ),
    Fault(
        "trainers/evaluation/conditions.py",
        "torch.from_numpy(images.labels)[list(index)]",
        "torch.from_numpy(images.labels)[list(range(len(index)))]",
        "tests/trainers/evaluation/test_conditions.py::test_classes_come_up_by_their_shares_to_the_last_one",
    ),
    Fault(
        "trainers/evaluation/scores.py",
        "/ (least - size) + 1 / subsets)",
        "/ (least - size))",
        "tests/trainers/evaluation/test_scores.py::test_the_error_of_a_kernel_distance_is_the_spread_over_samples_also_where_subsets_are_small",
    ),
    Fault(
        "trainers/hdf5_pairs.py",
        "            noises.append(noise)",
        "            noises.append(sample)",
        HDF5 + "test_noises_and_samples_are_the_stored_ones_over_all_files",
    ),
    Fault(
        "trainers/identity.py",
        '"".join(map(sha256_of, files))',
        '""',
        HDF5 + "test_an_identity_is_that_of_the_files",
    ),
)
