"""Faults planted in what draws: app/stage/, from discs to charts and files."""

from tests.faults import Fault


def drawn(file: str, old: str, new: str, test: str) -> Fault:
    return Fault(f"app/stage/{file}", old, new, f"tests/app/stage_drawing/{test}")


FAULTS: tuple[Fault, ...] = (
    drawn("collapsed.js", "right - left < COLLAPSED_WITHIN && ", "", "test_paint.py::test_a_class_that_has_come_to_one_point_is_one_disc"),
    drawn(
        "paint.js",
        "compact ? Math.min(COMPACT_PARTICLES, picture.n) : picture.n",
        "picture.n",
        "test_paint.py::test_small_stages_and_stages_with_pairs_hold_less",
    ),
    drawn(
        "heat.js",
        "look.dark ? colours : colours.reverse()",
        "colours",
        "test_paint.py::test_no_error_is_paper_and_the_largest_stands_out_most",
    ),
    drawn("probing.js", "(from - to)", "from", "test_paint.py::test_presence_falls_evenly_on_the_logarithm"),
    drawn("mixtures.js", "if (target.classCount > 1 || ", "if (", "test_paint.py::test_parts_of_a_one_class_target_have_their_own_colours"),
    drawn(
        "gif.js",
        "if (next === 1 << bits) bits += 1;",
        "if (next === (1 << bits) - 1) bits += 1;",
        "test_files.py::test_noise_is_its_palette_colours",
    ),
    drawn("gif.js", "shown = present;", "shown = shown ?? present;", "test_files.py::test_a_gif_of_moving_discs_comes_back_as_it_was"),
    drawn("gif.js", "x >= right) right = x + 1", "x >= right) right = x", "test_files.py::test_a_gif_of_moving_discs_comes_back_as_it_was"),
    drawn(
        "marching.js",
        '10: [["TR", "BL"], ["TL", "BR"]]',
        '10: [["TL", "BR"], ["TR", "BL"]]',
        "test_marching.py::test_a_saddle_joins_what_its_middle_joins",
    ),
    drawn("marching.js", '[], ["LT"], ["TR"]', '[], ["TL"], ["TR"]', "test_marching.py::test_a_cone_is_cut_in_a_circle"),
    drawn(
        "contours.js", "-2 * Math.log(1 - share)", "-2 * Math.log(share)", "test_marching.py::test_regions_of_a_gaussian_are_its_ellipses"
    ),
    drawn("contours.js", "l21 * u + l22 * v", "l22 * v", "test_marching.py::test_regions_of_a_gaussian_are_its_ellipses"),
    drawn(
        "contours.js",
        "mixture.weights.length === mixture.classCount",
        "true",
        "test_marching.py::test_regions_of_a_mixture_hold_what_they_say",
    ),
    drawn(
        "density.js",
        "mass[bin] *= Math.exp(-(bin + 0.5) * width)",
        "mass[bin] *= 1",
        "test_marching.py::test_bands_hold_the_shares_of_a_gaussian",
    ),
    drawn("density.js", "count) / length - 0.5))", "count) / length))", "test_paint.py::test_a_grid_is_upscaled_at_its_cells_centres"),
    drawn("discs.js", "+ 0x800080", "", "test_discs.py::test_many_discs_reach_the_colour_and_stay"),
    drawn(
        "discs.js",
        "if (px < 0 || py < 0 || px >= width || py >= height) continue;",
        "",
        "test_discs.py::test_discs_are_cut_at_the_edge_and_do_not_wrap",
    ),
    drawn("discs.js", "view.ratio * view.shiftX - 0.5", "view.ratio * view.shiftX", "test_discs.py::test_a_disc_has_its_area_and_place"),
    drawn("states.js", "times[middle] <= time", "times[middle] < time", "test_states.py::test_the_state_before_a_time"),
    drawn(
        "states.js",
        "share * (x[next + i] - x[from + i])",
        "0.5 * (x[next + i] - x[from + i])",
        "test_states.py::test_straight_between_the_real_states_and_held_beyond_them",
    ),
    drawn("ghosts.js", "statesAt(exact, run.t[k],", "statesAt(exact, time,", "test_states.py::test_ghosts_are_at_the_solvers_times"),
    drawn("ghosts.js", "ghosts.k === 0 || ", "", "test_paint.py::test_ghosts_are_missing_at_the_start_where_there_is_no_error"),
    drawn(
        "traces.js",
        "k = Math.min(steps, k + stride)",
        "k = k + stride > steps ? steps : k + stride + 1",
        "test_states.py::test_traces_have_at_most_13_points_while_a_control_moves",
    ),
    drawn(
        "traces.js",
        "if (k === steps) return;",
        "if (k + stride > steps) return;",
        "test_states.py::test_traces_have_at_most_13_points_while_a_control_moves",
    ),
    drawn(
        "paint.js",
        "  freshPen(ctx);\n  if (outlines) drawOutlines",
        "  if (outlines) drawOutlines",
        "test_paint.py::test_what_was_painted_before_does_not_show",
    ),
    drawn(
        "paint.js",
        "  freshPen(ctx);\n  const k = stateBefore",
        "  const k = stateBefore",
        "test_paint.py::test_what_was_painted_before_does_not_show",
    ),
    drawn("clock.js", "Math.min(100, present - last)", "(present - last)", "test_clock.py::test_a_late_frame_does_not_make_particles_jump"),
    drawn("clock.js", "if (hidden) stop(); else start();", "", "test_clock.py::test_nothing_runs_while_nobody_can_see_it"),
    drawn("colours.js", '"#E69F00", "#56B4E9"', '"#56B4E9", "#E69F00"', "test_colours.py::test_class_colours_are_those_of_the_figures"),
    drawn(
        "chart_frame.js", "log ? Math.log : (value) => value", "(value) => value", "test_charts.py::test_a_slope_of_one_is_a_straight_line"
    ),
    drawn("chart_frame.js", "escapeXml(cell)}</th>", "cell}</th>", "test_charts.py::test_words_of_the_data_cannot_become_markup"),
    drawn("svg.js", '[&<>"]/g', "[]/g", "test_files.py::test_the_svg_has_a_circle_for_every_particle_where_it_is"),
    drawn("csv.js", "truth[k][2 * row]", "truth[0][2 * row]", "test_files.py::test_the_csv_has_every_state_beside_the_exact_flow"),
    drawn("line_chart.js", "Math.max(line.y[i], yLow)", "line.y[i]", "test_charts.py::test_an_exact_scene_lies_on_the_floor_and_says_so"),
    drawn("viewport.js", "view.shiftY - view.scale * y", "view.shiftY + view.scale * y", "test_paint.py::test_pixels_and_back"),
    drawn("labels.js", "sum += 1e3", "sum += 0", "test_paint.py::test_names_stay_on_the_stage_and_apart"),
)
