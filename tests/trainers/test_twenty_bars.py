"""The twenty bars that the trainers must clear, and which tests hold each of them."""

from pathlib import Path

import pytest

BARS = {
    "1. killed at any step, resumed: bit-equal": (
        "training/test_kill.py::test_loom_killed_at_random_steps_ends_bit_equal",
        "training/test_kill.py::test_any_method_killed_at_random_steps_ends_bit_equal",
    ),
    "2. the same with averages, optimiser, scaler, assignment table": (
        "training/test_kill.py::test_any_method_killed_at_random_steps_ends_bit_equal",
        "training/test_loop.py::test_several_averages_are_kept_and_resumed",
        "training/test_loop.py::test_the_table_in_a_checkpoint_is_that_of_its_step",
    ),
    "3. the log of sample numbers is the same after kills within an epoch": (
        "training/test_kill.py::test_loom_killed_at_random_steps_ends_bit_equal",
    ),
    "4. two processes see what one sees and end where it ends": ("training/test_distributed.py::test_two_processes_end_where_one_ends",),
    "5. accumulated micro-batches are one batch": ("training/test_loop.py::test_accumulated_micro_batches_are_one_batch",),
    "6. clipped before the step, the norm logged": (
        "training/test_loop.py::test_the_gradient_is_clipped_before_the_step_and_its_norm_is_logged_unclipped",
    ),
    "7. a damaged newest checkpoint: the one before it": (
        "training/test_checkpoints.py::test_a_damaged_newest_is_named_and_passed_over",
        "training/test_checkpoints.py::test_a_state_that_reads_well_but_is_not_what_was_written_is_named_and_passed_over",
    ),
    "8. files whole or not there, hashed": (
        "training/test_checkpoints.py::test_a_checkpoint_holds_what_the_design_says_and_every_hash_is_right",
        "training/test_checkpoints.py::test_a_file_is_replaced_whole_or_not_at_all",
        "latents/test_building.py::test_killed_at_any_moment_it_goes_on_after_the_last_whole_shard",
    ),
    "9. no pickle is loaded": (
        "training/test_checkpoints.py::test_a_pickle_is_refused_and_never_read",
        "training/test_checkpoints.py::test_the_code_reads_and_writes_no_pickle",
        "latents/test_diffusers_models.py::test_a_pickle_is_never_loaded",
        "evaluation/test_published.py::test_no_pickle_is_ever_loaded",
        "sampling/test_trained.py::test_no_pickle_is_ever_read",
    ),
    "10. averages in fp32 by the formula; raw weights apart": (
        "training/test_ema.py::test_the_average_is_the_formulas",
        "training/test_ema.py::test_averages_are_fp32_and_move_where_bf16_would_stand_still",
        "training/test_loop.py::test_bf16_keeps_weights_and_averages_in_fp32",
    ),
    "11. sixteen pictures overfitted by every method": ("training/test_loop.py::test_sixteen_pictures_are_overfitted_to_a_stated_loss",),
    "12. the first twenty losses are those of a plain loop": (
        "training/test_golden.py::test_the_first_losses_are_those_of_a_plain_loop",
        "training/test_golden.py::test_the_first_losses_told_texts_are_those_of_a_plain_loop",
    ),
    "13. what is not finite stops with the batch's samples": (
        "training/test_loop.py::test_a_gradient_that_is_not_finite_ends_the_run_with_its_samples_and_keeps_the_checkpoint",
        "training/test_ends.py::test_a_diverged_run_ends_with_status_1_and_its_samples",
    ),
    "14. SIGTERM saves and exits resumable": (
        "training/test_loop.py::test_a_run_that_was_asked_to_stop_goes_on_bit_equal",
        "training/test_distributed.py::test_two_processes_that_are_told_to_stop_one_after_the_other_end_together_and_go_on",
    ),
    "15. resumed with another recipe: refused, with what differs": (
        "training/test_ends.py::test_bad_input_ends_in_one_line_and_status_2",
        "training/test_ends.py::test_only_how_long_and_how_it_is_watched_may_change",
    ),
    "16. a full disk and a missing shard are named": (
        "training/test_ends.py::test_a_full_disk_is_said_in_one_line_and_keeps_the_last_checkpoint",
        "training/test_ends.py::test_a_missing_or_damaged_shard_is_made_again",
    ),
    "17. previews change nothing": ("training/test_loop.py::test_previews_change_nothing_of_the_training",),
    "18. evaluations are counted, Euler ends at 1": (
        "sampling/test_sampling.py::test_evaluations_are_those_asked_for_and_guidance_counts_two",
        "sampling/test_sampling.py::test_euler_takes_n_steps_from_0_and_ends_at_1",
    ),
    "19. Frechet and kernel distances against scipy and closed forms; the protocol is recorded": (
        "evaluation/test_scores.py::test_frechet_distance_is_that_of_scipy",
        "evaluation/test_scores.py::test_frechet_distance_of_commuting_gaussians_is_the_closed_form",
        "evaluation/test_scores.py::test_the_kernel_distance_of_whole_halves_is_a_plain_loop",
        "evaluation/test_evaluate.py::test_the_protocol_states_what_others_need",
    ),
    "20. images a second, wait, use of the peak, memory; a job outlives who started it": (
        "jobs/test_work.py::test_it_outlives_who_started_it_sleeps_wakes_stops_and_goes_on",
        "training/test_loop.py::test_records_say_what_a_run_does",
        "training/test_gauges.py::test_speed_wait_and_use_are_shares_of_the_time_that_passed",
    ),
}


def test_there_are_twenty():
    assert [int(bar.split(".")[0]) for bar in BARS] == list(range(1, 21))


@pytest.mark.parametrize("bar", BARS)
def test_the_tests_that_hold_a_bar_are_there(bar: str):
    for node in BARS[bar]:
        file, name = node.split("::")
        assert f"\ndef {name}(" in (Path(__file__).parent / file).read_text(), node
