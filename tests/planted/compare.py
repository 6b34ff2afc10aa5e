"""Planted in exports, the list of models and the comparison of checkpoints."""

from tests.faults import Fault

COMPARE = "tests/server/test_compare.py::"
LOOKS = "tests/app/test_looks.py::"
SCRIPT = "tests/app/test_compare_script.py::"
BOARD = "tests/trainers/test_scoreboard.py::"
SHIPPING = "tests/trainers/test_shipping.py::"
EXPORT = "tests/trainers/sampling/test_exporting.py::"
FAULTS = (
    Fault(
        "app/tasks/compare.py",
        "for nfe in sorted(LADDER, key=lambda n: (abs(n - wish.nfe), n)):",
        "for nfe in LADDER:",
        COMPARE + "test_panels_have_the_same_numbers_and_their_pictures_are_samples_own",
    ),
    Fault(
        "app/tasks/compare.py",
        "        guidance=panel.guidance,\n        condition=panel.condition,",
        "        condition=panel.condition,",
        COMPARE + "test_panels_have_the_same_numbers_and_their_pictures_are_samples_own",
    ),
    Fault(
        "app/tasks/compare.py",
        'open_subject(folder, asked["weights"])',
        "open_subject(folder)",
        COMPARE + "test_panels_have_the_same_numbers_and_their_pictures_are_samples_own",
    ),
    Fault(
        "app/tasks/compare.py",
        "square().mean(1)\n        errors[nfe]",
        "mean(1)\n        errors[nfe]",
        COMPARE + "test_solver_errors_are_against_the_checkpoints_own_exact_ends",
    ),
    Fault(
        "trainers/catalogue.py",
        "_is_model(home / check_name(name))",
        "_is_model(home / name)",
        COMPARE + "test_what_cannot_be_is_one_sentence",
    ),
    Fault(
        "trainers/exporting.py",
        ' if name != "table"',
        "",
        EXPORT + "test_it_holds_no_optimiser_no_table_and_no_place_of_this_machine",
    ),
    Fault(
        "trainers/exporting.py",
        "name not in OWN",
        "True",
        EXPORT + "test_it_holds_no_optimiser_no_table_and_no_place_of_this_machine",
    ),
    Fault(
        "trainers/exporting.py",
        "<= LARGEST",
        "<= 1e30",
        EXPORT + "test_what_cannot_be_exported_is_said_and_leaves_nothing",
    ),
    Fault(
        "trainers/training.py",
        'if "exported" in checkpoint.facts:',
        "if False:",
        EXPORT + "test_a_training_does_not_go_on_from_an_export",
    ),
    Fault(
        "trainers/exporting.py",
        'glob(f"{checkpoint.folder.name}-{weights}-*.json")',
        'glob("nothing")',
        SHIPPING + "test_what_is_there_is_not_made_again",
    ),
    Fault(
        "trainers/shipping.py",
        "if not _finished(run):",
        "if True:",
        SHIPPING + "test_what_is_there_is_not_made_again",
    ),
    Fault(
        "trainers/shipping.py",
        """ if command[0] == "train"]""",
        "]",
        SHIPPING + "test_a_reflow_is_preceded_by_its_teacher_and_pairs",
    ),
    Fault(
        "trainers/recipes/shipped.py",
        "        DIGITS,\n",
        '        DIGITS if method != "loom" else {"network.channels": "128"},\n',
        SHIPPING + "test_methods_are_compared_at_equal_network_data_pictures_and_learning_rate",
    ),
    Fault(
        "app/tasks/looks.py",
        'given="velocity", wanted="data"',
        'given="velocity", wanted="noise"',
        LOOKS + "test_a_film_shows_what_the_network_expects_of_the_end_and_ends_with_the_sample",
    ),
    Fault(
        "app/tasks/looks.py",
        "math.sqrt(own[0].numel())",
        "math.sqrt(len(own))",
        LOOKS + "test_the_nearest_training_picture_is_found_by_pixels_and_held_out_ones_say_what_is_usual",
    ),
    Fault(
        "app/tasks/looks.py",
        "_called(known, int(index[i]))",
        "_called(known, int(i))",
        LOOKS + "test_of_many_training_pictures_an_even_part_is_looked_through_and_broken_ones_are_left_out",
    ),
    Fault(
        "app/tasks/looks.py",
        "(usual < distance)",
        "(usual > distance)",
        LOOKS + "test_prompts_are_set_beside_the_captions_that_the_model_knows",
    ),
    Fault("app/stage/png_text.js", "0xedb88320", "0xedb88321", SCRIPT + "test_texts_in_a_png_are_read_by_others_and_the_picture_stays"),
    Fault(
        "app/stage/compare/wish.js",
        'vary(panels.map((panel) => panel.guidance), "guidance");',
        "",
        SCRIPT + "test_the_line_names_what_differs_and_nothing_else",
    ),
    Fault(
        "app/stage/compare/panels.js",
        "if (budgets.includes(shown)) return null;",
        "",
        SCRIPT + "test_a_panel_shows_the_most_that_its_solver_can_use_within_the_budget",
    ),
    Fault(
        "app/stage/compare/wish.js",
        "wish.n, wish.seed,",
        "wish.n,",
        SCRIPT + "test_only_another_wish_makes_results_stale",
    ),
    Fault(
        "trainers/scoreboard.py",
        "/ (len(values) - 1))",
        "/ len(values))",
        BOARD + "test_a_cell_is_the_mean_over_seeds_with_students_interval",
    ),
    Fault(
        "trainers/scoreboard.py",
        '"one_nn": lambda value: abs(value - 0.5),',
        '"one_nn": lambda value: value,',
        BOARD + "test_what_the_seeds_cannot_tell_apart_is_a_tie",
    ),
    Fault(
        "trainers/scoreboard.py",
        "> math.hypot(a.half, b.half)",
        "> 0",
        BOARD + "test_what_the_seeds_cannot_tell_apart_is_a_tie",
    ),
    Fault(
        "trainers/scorecards.py",
        "passes + before[1] + shipped.pairs",
        "passes + shipped.pairs",
        BOARD + "test_a_reflow_pays_for_its_teacher_and_pairs",
    ),
    Fault(
        "trainers/scoreboard.py",
        'if row["name"].startswith("real")]',
        'if row["nfe"] is None]',
        BOARD + "test_one_seed_has_the_interval_of_its_pictures",
    ),
    Fault(
        "trainers/scoreboard.py",
        "if card.sampler is None else",
        "if True else",
        BOARD + "test_another_sampler_is_a_line_of_its_own",
    ),
    Fault(
        "app/tasks/compare.py",
        'pipe.send(("rung", {"panel": k, "nfe": nfe, "error": error}, []))\n        return None',
        "raise ValueError(error)",
        "tests/app/test_compare_task.py::test_samples_that_are_not_finite_cost_their_rung_alone",
    ),
    Fault(
        "app/stage/compare/voting.js",
        'tell(page, page.hidden ? "Not',
        'tell(page, false ? "Not',
        SCRIPT + "test_why_something_failed_is_not_told_before_the_names_are",
    ),
    Fault(
        "trainers/catalogue.py",
        "return not folder.is_symlink() and (folder / CONVENTIONS)",
        "return (folder / CONVENTIONS)",
        COMPARE + "test_a_checkpoint_made_elsewhere_is_sampled_beside_ours",
    ),
    Fault(
        "app/tasks/compare.py",
        'if asked["guidance"] != 1 and model.null is None:',
        "if False:",
        COMPARE + "test_a_checkpoint_made_elsewhere_is_sampled_beside_ours",
    ),
    Fault(
        "app/tasks/compare.py",
        "states=states and _fits(panel, wish, nfe + 1),",
        "states=states,",
        "tests/app/test_compare_task.py::test_what_would_not_fit_into_memory_is_left_out_and_said",
    ),
    Fault(
        "app/tasks/compare.py",
        "if not _fits(panel, wish, 4 * (TIMES + 1)):",
        "if False:",
        "tests/app/test_compare_task.py::test_what_would_not_fit_into_memory_is_left_out_and_said",
    ),
    Fault(
        "app/opening.py",
        'if kept.events[-1][0] != "end":',
        "if False:",
        "tests/app/test_compare_task.py::test_an_opening_that_failed_is_not_written",
    ),
    Fault(
        "app/stage/compare/panels.js",
        '"ddim-scheduler", ',
        '"ddim-schedule", ',
        SCRIPT + "test_what_the_page_offers_is_what_the_server_takes",
    ),
    Fault(
        "app/stage/compare/panels.js",
        "results.wish.panels.splice(k, 1);",
        "",
        SCRIPT + "test_a_panel_that_is_taken_away_takes_its_samples_with_it_and_leaves_the_others",
    ),
)
