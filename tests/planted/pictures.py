"""Faults planted in what figures and tables of toy/ show, and in small numbers behind them."""

from tests.faults import Fault

TESTS = "tests/toy/test_pictures.py"
FITTED = "tests/toy/test_fitted.py"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "toy/stages.py",
        "for share in (0.5, 0.9)",
        "for share in (0.5, 0.7)",
        f"{TESTS}::test_regions_hold_half_and_nine_tenths_of_a_gaussian",
    ),
    Fault(
        "toy/stages.py",
        "    if traced.world.sees_class:\n        return traced.condition\n",
        "",
        f"{TESTS}::test_a_particle_has_the_colour_of_its_own_class_where_the_field_sees_it_and_else_that_of_its_exact_end",
    ),
    Fault("toy/stages.py", "ax.scatter(x_0[:, 0],", "ax.scatter(x_1[:, 0],", f"{TESTS}::test_pairs_are_drawn_from_x_0_to_x_1"),
    Fault(
        "toy/figures.py",
        "acceleration_axis.plot(times, value, **style)",
        "acceleration_axis.plot(times, value**0, **style)",
        f"{TESTS}::test_the_acceleration_curve_is_that_of_the_field_as_it_was_told",
    ),
    Fault(
        "toy/trace.py",
        "self.world.field.velocity, _told(self.world, self.condition))",
        "self.world.field.velocity)",
        f"{TESTS}::test_the_acceleration_curve_is_that_of_the_field_as_it_was_told",
    ),
    Fault(
        "toy/trace.py",
        "spread = float(made.target.covariance.trace().sqrt())",
        "spread = float(made.target.covariance.trace())",
        f"{TESTS}::test_efficiency_is_left_out_below_a_twentieth_of_the_targets_spread",
    ),
    Fault(
        "toy/world.py",
        "stream + 2 * CHANCE)",
        "stream + CHANCE)",
        f"{TESTS}::test_classes_and_components_of_floor_data_are_drawn_independently",
    ),
    Fault(
        "toy/fitted.py",
        "ENDS, END_NFE = 1000, 96",
        "ENDS, END_NFE = 1000, 4",
        f"{FITTED}::test_the_stated_distance_of_end_points_is_that_of_the_exact_flows_of_two_gaussians",
    ),
    Fault(
        "toy/fitted.py",
        "nfe=END_NFE, condition=told)",
        "nfe=END_NFE, condition=None)",
        f"{FITTED}::test_the_stated_distance_of_end_points_is_that_of_finer_flows[True]",
    ),
    Fault(
        "toy/priors.py",
        " - w[:, None] * log_det[:, None] - w[None, :] * log_det[None, :])",
        " - w[:, None] * log_det[:, None])",
        f"{TESTS}::test_components_are_merged_where_runnalls_bound_is_least",
    ),
    Fault(
        "toy/report.py",
        "zip(ladder.nfe, ladder.rmse, ladder.median, ladder.max, strict=True)",
        "zip(ladder.nfe, ladder.rmse, ladder.max, ladder.median, strict=True)",
        f"{TESTS}::test_the_ladders_table_has_rmse_median_and_max_in_their_columns",
    ),
    Fault(
        "toy/gallery.py",
        "replace(s, nfe=16)",
        "replace(s, nfe=4)",
        f"{TESTS}::test_local_errors_are_drawn_over_sixteen_steps_unless_scenes_are_given",
    ),
)
