"""Planted in the check-up of checkpoints made elsewhere."""

from tests.faults import Fault

HOME = "tests/trainers/checkup/"
BODIES, COMMAND, CONVENTIONS, FOREIGN, INSTRUMENTS = (
    f"{HOME}test_{name}.py::" for name in ("bodies", "command", "conventions", "foreign", "instruments")
)
TURNED = FOREIGN + "test_a_reversed_velocity_is_the_plain_models_with_time_and_sign_turned_round"
FAULTS = (
    Fault("trainers/checkup/foreign.py", "return -value if told.reverses", "return value if told.reverses", TURNED),
    Fault("trainers/checkup/foreign.py", "s = 1 - t if told.reverses else t", "s = t", TURNED),
    Fault("trainers/checkup/foreign.py", "told.time_scale * s + told.time_offset", "s + told.time_offset", TURNED),
    Fault(
        "trainers/checkup/foreign.py",
        " * s + told.time_offset",
        " * s",
        FOREIGN + "test_a_velocity_of_our_direction_is_the_networks_own",
    ),
    Fault(
        "trainers/checkup/foreign.py",
        ' and told.prediction == "velocity" else value',
        " else value",
        FOREIGN + "test_other_predictions_keep_their_sign_and_are_converted_on_the_path",
    ),
    Fault(
        "trainers/checkup/foreign.py",
        "recipe = Recipe(path=PathOptions(told.path, told.sigma_min)",
        "recipe = Recipe(path=PathOptions(told.path)",
        FOREIGN + "test_sigma_min_is_the_paths",
    ),
    Fault(
        "trainers/checkup/foreign.py",
        "-told.time_offset / told.time_scale",
        "0.0",
        FOREIGN + "test_the_body_of_a_ddpm_of_our_own_sent_as_foreign_is_the_same_field",
    ),
    Fault(
        "trainers/checkup/foreign.py",
        "torch.full((1, 1, 1), 1 / scaling)",
        "torch.full((1, 1, 1), scaling)",
        FOREIGN + "test_latents_are_scaled_and_shifted_as_the_conventions_say",
    ),
    Fault(
        "trainers/checkup/foreign.py",
        ">= max(body.table, 1)",
        "> max(body.table, 1)",
        BODIES + "test_classes_must_fit_the_table",
    ),
    Fault(
        "trainers/checkup/bodies.py",
        "class_labels=condition",
        "class_labels=condition * 0",
        FOREIGN + "test_classes_reach_the_networks_table",
    ),
    Fault(
        "trainers/checkup/bodies.py",
        "return found.sample[:, : self.channels]",
        "return found.sample[:, -self.channels :]",
        FOREIGN + "test_of_a_network_that_predicts_a_variance_too_the_first_half_is_taken",
    ),
    Fault(
        "trainers/checkup/bodies.py",
        "condition.to(x.dtype)",
        "condition.to(x.dtype) * 0",
        FOREIGN + "test_text_states_are_given_in_turn_and_zeros_where_there_are_none",
    ),
    Fault("trainers/checkup/bodies.py", "    if wrong:\n", "    if len(wrong) > 5:\n", BODIES + "test_weights_must_be_whole"),
    Fault(
        "trainers/checkup/bodies.py",
        'if times != "positional":',
        'if times == "learned":',
        BODIES + "test_what_a_checkup_cannot_give_is_refused",
    ),
    Fault(
        "trainers/checkup/bodies.py",
        'config.get("norm_type") != "ada_norm_zero" or',
        "False and",
        BODIES + "test_a_transformer_that_is_no_dit_is_refused",
    ),
    Fault(
        "trainers/checkup/conventions.py", "    if scale <= 0:", "    if scale == 0:", CONVENTIONS + "test_what_cannot_be_is_one_sentence"
    ),
    Fault(
        "trainers/checkup/conventions.py",
        "    if missing:",
        "    if len(missing) > 1:",
        CONVENTIONS + "test_nothing_that_matters_is_guessed",
    ),
    Fault(
        "trainers/checkup/subjects.py",
        "any((folder / inside",
        "all((folder / inside",
        BODIES + "test_a_network_without_conventions_is_not_guessed_at",
    ),
    Fault(
        "trainers/checkup/plausibility.py",
        "float(dx @ dv / (dx @ dx))",
        "float(dv @ dv / (dx @ dx))",
        FOREIGN + "test_right_conventions_meet_the_slopes_of_an_independent_coupling",
    ),
    Fault(
        "trainers/checkup/plausibility.py",
        "_slope(subject, end, 1.0, condition)",
        "_slope(subject, start, 0.0, condition)",
        FOREIGN + "test_right_conventions_meet_the_slopes_of_an_independent_coupling",
    ),
    Fault(
        "trainers/checkup/exact.py",
        "/ (len(x) - 1)",
        "/ len(x)",
        INSTRUMENTS + "test_the_exact_flow_ends_where_the_closed_form_does_and_says_how_far_off_it_is",
    ),
    Fault(
        "trainers/checkup/exact.py",
        "found.error > error * found.spread",
        "found.error > error * found.spread + 1e9",
        INSTRUMENTS + "test_orders_of_convergence_are_the_solvers",
    ),
    Fault(
        "trainers/evaluation/flow_measures.py",
        "math.isclose(tolerance, finest, rel_tol=1e-6) or tolerance < finest",
        "tolerance <= finest",
        INSTRUMENTS + "test_at_the_finest_tolerance_the_error_is_still_one_to_ten_times_it",
    ),
    Fault(
        "trainers/checkup/exact.py",
        "    if spread == 0:",
        "    if spread < 0:",
        INSTRUMENTS + "test_flows_that_are_not_finite_and_samples_that_are_one_point_are_said",
    ),
    Fault(
        "trainers/checkup/instruments.py",
        "if e <= self.asked.error), None)",
        "if e <= 2 * self.asked.error), None)",
        INSTRUMENTS + "test_the_evaluations_needed_are_the_first_of_the_ladder_within_the_wished_error",
    ),
    Fault(
        "trainers/checkup/instruments.py",
        "local_error(own, exact.reference, steps, LOCAL,",
        'local_error(own, exact.reference, steps, "heun",',
        INSTRUMENTS + "test_local_errors_are_one_steps_from_the_exact_state",
    ),
    Fault(
        "trainers/checkup/instruments.py",
        "guidance_gap(in_double(subject.velocity), gauge.x,",
        "guidance_gap(in_double(subject.velocity), 0 * gauge.x,",
        INSTRUMENTS + "test_the_guidance_gauge_is_the_difference_of_the_means_and_how_much_of_it_is_left",
    ),
    Fault(
        "trainers/checkup/instruments.py",
        "evaluations_per_call(own)) for solver",
        "1) for solver",
        INSTRUMENTS + "test_guidance_counts_twice_and_changes_the_flow",
    ),
    Fault(
        "trainers/checkup/instruments.py",
        "plain if subject.path.last_time == 1 else",
        "plain if True else",
        INSTRUMENTS + "test_on_vp_the_flow_is_followed_to_its_own_end_and_summed_on_a_graded_grid",
    ),
    Fault(
        "trainers/checkup/report.py",
        "(values[inside] * dt[inside]).sum() / dt[inside].sum()",
        "values[inside].sum()",
        COMMAND + "test_json_file_and_table_have_the_same_numbers",
    ),
    Fault(
        "trainers/checkup/report.py",
        "cell(e, sure) for n, e, sure in zip(ladder.nfe, found.relative(ladder)",
        "cell(e, sure) for n, e, sure in zip(ladder.nfe, ladder.rmse",
        COMMAND + "test_json_file_and_table_have_the_same_numbers",
    ),
    Fault(
        "trainers/checkup/page.py",
        'name = html.escape(found.about["name"])',
        'name = found.about["name"]',
        COMMAND + "test_the_page_needs_nothing_beside_it_and_has_every_number",
    ),
    Fault(
        "trainers/checkup/charts.py",
        "(y > 0 or not log_y)",
        "True",
        COMMAND + "test_a_chart_draws_what_its_axes_can_show",
    ),
    Fault(
        "trainers/commands/checkup.py",
        "page(found, subject if draws(subject) else None)",
        "page(found, subject)",
        COMMAND + "test_pictures_are_left_out_where_latents_have_no_autoencoder",
    ),
)
