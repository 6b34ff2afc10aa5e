"""Faults in the trainers' recipes, networks, order, methods, loop and checkpoints."""

from tests.faults import Fault

GOLDEN = "tests/trainers/training/test_golden.py::test_the_first_losses_are_those_of_a_plain_loop"
LOOP = "tests/trainers/training/test_loop.py::"
ORDER = "tests/trainers/training/test_order.py::"
TEXTS = "tests/trainers/training/test_golden.py::test_the_first_losses_told_texts_are_those_of_a_plain_loop"
RESUME = "tests/trainers/training/test_resume.py::"
CHECKPOINTS = "tests/trainers/training/test_checkpoints.py::"

FAULTS = (
    Fault(
        "trainers/loop.py",
        "self.run.record(line)\n            self.mirror.log(line)\n        tensors",
        "self.mirror.log(line)\n        tensors",
        LOOP + "test_held_out_losses_are_those_of_the_averages",
    ),
    Fault(
        "trainers/jobs/state.py",
        ' and "held_out_loss" not in found',
        "",
        "tests/trainers/jobs/test_state.py::test_a_held_out_loss_is_no_record_of_a_step",
    ),
    Fault(
        "trainers/order.py",
        "return step // self.steps_per_epoch",
        "return 0",
        ORDER + "test_an_epoch_sees_every_datum_once_and_epochs_differ",
    ),
    Fault(
        "trainers/order.py",
        "step * self.batch, (step + 1) * self.batch",
        "0, self.batch",
        ORDER + "test_every_step_has_sample_numbers_of_its_own",
    ),
    Fault(
        "trainers/networks.py",
        "return recipe.network.time_scale * t",
        "return t",
        "tests/trainers/training/test_networks.py::test_time_reaches_the_embedding_in_the_range_that_it_is_made_for",
    ),
    Fault(
        "trainers/networks.py",
        "return nn.functional.one_hot(condition,",
        "return 0 * nn.functional.one_hot(condition,",
        "tests/trainers/training/test_networks.py::test_a_class_is_one_row_of_context_and_moves_what_the_cross_attention_has_of_values",
    ),
    Fault(
        "trainers/networks.py",
        "nn.init.normal_(body.encoder_hid_proj.weight)",
        "nn.init.zeros_(body.encoder_hid_proj.bias)",
        "tests/trainers/training/test_networks.py::test_class_embeddings_begin_as_embeddings_do",
    ),
    Fault(
        "trainers/networks.py",
        "seen = condition.ne(0).any(-1)",
        "seen = condition.ne(1e9).any(-1)",
        "tests/trainers/training/test_networks.py::test_padding_rows_of_a_text_do_not_count",
    ),
    Fault(
        "trainers/ema.py",
        "return min(self.decay, step / (step + 9))",
        "return self.decay",
        "tests/trainers/training/test_ema.py::test_the_average_is_the_formulas",
    ),
    Fault(
        "trainers/ema.py",
        "p.detach().clone().float() for p",
        "p.detach().clone() for p",
        "tests/trainers/training/test_ema.py::test_averages_are_fp32_and_move_where_bf16_would_stand_still",
    ),
    Fault(
        "trainers/batches.py",
        "dropped = self.order.uniforms(samples, NULL) < share",
        "dropped = self.order.uniforms(samples, TIME) < share",
        GOLDEN + "[condot]",
    ),
    Fault("trainers/batches.py", "index if flips is None else index + self.source.n * flips", "index", GOLDEN + "[loom]"),
    Fault("trainers/methods.py", '"class-batch-ot": PerClassOT()', '"class-batch-ot": BatchOT()', GOLDEN + "[class-batchot]"),
    Fault("trainers/methods.py", '"class-loom": PerClassOT()', '"class-loom": BatchOT()', GOLDEN + "[class-loom]"),
    Fault("trainers/times.py", "return (u * self.steps).floor()", "return (u * self.steps)", GOLDEN + "[ddpm]"),
    Fault("trainers/batches.py", "else null\n", "else torch.zeros_like(null)\n", TEXTS + "[emoji-text-condot]"),
    Fault("trainers/priors/fitted.py", "mappers.unseen(e, index)", "mappers(e)", TEXTS + "[emoji-text-cpd]"),
    Fault(
        "trainers/training.py",
        "Method(recipe, prior) if checkpoint is None else method_of(checkpoint, recipe)",
        "Method(recipe, prior)",
        RESUME + "test_a_run_goes_on_with_the_prior_that_it_began_with",
    ),
    Fault(
        "trainers/training.py",
        "    _restore_scaler(accelerator, checkpoint)\n",
        "",
        RESUME + "test_the_scaler_of_fp16_is_in_the_checkpoint_and_goes_on_from_there",
    ),
    Fault(
        "trainers/loop.py",
        "None if scaler is None else scaler.state_dict()",
        "None",
        RESUME + "test_the_scaler_of_fp16_is_in_the_checkpoint_and_goes_on_from_there",
    ),
    Fault(
        "trainers/checkpoints.py",
        "torch.empty_like(weight, dtype=value.dtype, device=value.device).copy_(value) if value.shape == weight.shape else value",
        "value",
        RESUME + "test_a_run_in_channels_last_goes_on_bit_equal",
    ),
    Fault(
        "trainers/loop.py",
        "accelerator.backward(losses.mean() / parts)",
        "accelerator.backward(losses.mean())",
        LOOP + "test_accumulated_micro_batches_are_one_batch",
    ),
    Fault(
        "trainers/loop.py",
        "recipe.optimiser.clip or float",
        "None or float",
        LOOP + "test_the_gradient_is_clipped_before_the_step_and_its_norm_is_logged_unclipped",
    ),
    Fault(
        "trainers/loop.py",
        "and not (due and progress.table is not None)",
        "",
        LOOP + "test_the_table_in_a_checkpoint_is_that_of_its_step",
    ),
    Fault(
        "trainers/loop.py",
        "progress.step, progress.digest = checkpoint.step, ",
        "progress.step, progress.digest = checkpoint.step + 1, ",
        LOOP + "test_dropout_is_the_same_after_a_resume_and_does_not_touch_other_numbers",
    ),
    Fault(
        "trainers/loop.py",
        "if len(bad):",
        "if False:",
        LOOP + "test_a_gradient_that_is_not_finite_ends_the_run_with_its_samples_and_keeps_the_checkpoint",
    ),
    Fault(
        "trainers/loop.py",
        "starts[:, None] + torch.arange(micro)",
        "starts[:, None] * 0 + torch.arange(micro)",
        ORDER + "test_processes_and_micro_batches_share_out_every_row_once",
    ),
    Fault(
        "trainers/checkpoints.py",
        "if sha256_of(path) != expected:",
        "if False:",
        CHECKPOINTS + "test_a_damaged_newest_is_named_and_passed_over",
    ),
    Fault(
        "trainers/checkpoints.py",
        'if facts.get("checksum") != _checksum(facts):',
        "if False:",
        CHECKPOINTS + "test_a_state_that_reads_well_but_is_not_what_was_written_is_named_and_passed_over",
    ),
    Fault(
        "trainers/pickles.py",
        'begins[8:] == b"{"',
        "False",
        CHECKPOINTS + "test_a_file_whose_headers_length_begins_like_a_pickle_is_read",
    ),
    Fault("trainers/checkpoints.py", "if checkpoint.folder != best:", "if True:", CHECKPOINTS + "test_the_last_ones_and_the_best_are_kept"),
    Fault(
        "trainers/files.py",
        "        remove(partial)\n        raise",
        "        raise",
        CHECKPOINTS + "test_a_full_disk_leaves_what_was_there",
    ),
    Fault(
        "trainers/recipes/checks.py",
        "if size is not None and recipe.training.batch % size:",
        "if False:",
        "tests/trainers/recipes/test_settings.py::test_values_that_do_not_go_together_are_refused",
    ),
    Fault(
        "trainers/runs.py",
        "found is not None and found <= step",
        "True",
        "tests/trainers/training/test_kill.py::test_loom_killed_at_random_steps_ends_bit_equal",
    ),
    Fault(
        "trainers/loop.py", "judged=not stop", "judged=True", LOOP + "test_who_asks_for_the_end_waits_for_no_held_out_loss_and_no_preview"
    ),
    Fault(
        "trainers/loop.py",
        "if not stop and self._preview_due",
        "if self._preview_due",
        LOOP + "test_who_asks_for_the_end_waits_for_no_held_out_loss_and_no_preview",
    ),
    Fault(
        "trainers/loop.py",
        "finite = bool(torch.isfinite(norm))",
        "finite = True",
        LOOP + "test_a_loss_whose_gradient_alone_is_not_finite_ends_the_run",
    ),
    Fault(
        "trainers/loop.py",
        "if accelerator.optimizer_step_was_skipped:",
        "if False:",
        LOOP + "test_a_step_that_the_scaler_skipped_is_no_part_of_the_averages",
    ),
    Fault(
        "trainers/loop.py",
        "average.copy_from(load_body(folder / name))",
        'average.copy_from(load_body(folder / "ema"))',
        LOOP + "test_several_averages_are_kept_and_resumed",
    ),
    Fault("trainers/validation.py", "    network.train(training)", "    pass", LOOP + "test_a_held_out_loss_leaves_dropout_on"),
    Fault(
        "trainers/runs.py",
        '    "name",\n',
        '    "name",\n    "training.ema",\n',
        "tests/trainers/training/test_ends.py::test_only_how_long_and_how_it_is_watched_may_change",
    ),
    Fault(
        "trainers/networks.py",
        "if least < options.heads_of:",
        "if False:",
        "tests/trainers/training/test_networks.py::test_heads_wider_than_the_channels_that_they_share_are_refused",
    ),
)
