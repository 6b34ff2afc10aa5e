"""Faults in recipes' checks and warnings, their list, and plans."""

from tests.faults import Fault

SETTINGS = "tests/trainers/recipes/test_settings.py::"
PLANNING = "tests/trainers/sampling/test_planning.py::"

FAULTS = (
    Fault(
        "trainers/recipes/idle.py",
        "or name in seen or use.holds(recipe)",
        "or name in seen or not use.holds(recipe)",
        SETTINGS + "test_a_setting_that_is_used_is_not_warned_about",
    ),
    Fault(
        "trainers/recipes/idle.py",
        'lambda r: r.coupling.kind in ("loom", "class-loom")',
        "lambda r: True",
        SETTINGS + "test_a_setting_that_changes_nothing_is_said_with_what_would_use_it",
    ),
    Fault(
        "trainers/recipes/idle.py",
        "own = usual if preset is None else flatten(preset)",
        "own = usual",
        SETTINGS + "test_a_preset_has_no_idle_settings_of_its_own",
    ),
    Fault(
        "trainers/recipes/__init__.py",
        " + idle(recipe, preset)",
        "",
        SETTINGS + "test_settings_of_one_reason_share_a_sentence",
    ),
    Fault(
        "trainers/recipes/guidance.py",
        'prior in ("class-gaussian", "class-mixture", "text-gaussian") and',
        'prior == "class-mixture" and',
        SETTINGS + "test_guidance_without_something_to_compare_with_is_warned_about",
    ),
    Fault(
        "trainers/recipes/guidance.py",
        "if recipe.network.condition_dropout == 0:",
        "if False:",
        SETTINGS + "test_guidance_without_something_to_compare_with_is_warned_about",
    ),
    Fault(
        "trainers/recipes/__init__.py",
        "n=3, cutoff=0.4",
        "n=30, cutoff=0.1",
        SETTINGS + "test_unknown_recipes_are_refused_with_the_nearest_few_and_how_to_list_all",
    ),
    Fault(
        "trainers/commands/recipes.py",
        "for text in row.values()) for word in words",
        "for text in row.values()) for word in words[:1]",
        "tests/trainers/recipes/test_listing.py::test_words_choose",
    ),
    Fault(
        "trainers/planning.py",
        "max(seconds, waited) if beside else seconds + waited",
        "max(seconds, waited)",
        PLANNING + "test_training_waits_for_pairing_only_where_it_takes_longer",
    ),
    Fault(
        "trainers/pairing.py",
        "groups * seconds * (size / timed) ** 3",
        "seconds * (size / timed) ** 3",
        PLANNING + "test_a_pairing_too_large_to_be_tried_is_told_from_a_smaller_one",
    ),
    Fault(
        "trainers/pairing.py",
        "size = recipe.coupling.batch or recipe.training.batch",
        "size = recipe.training.batch",
        PLANNING + "test_pairing_is_timed_in_the_groups_of_the_recipe",
    ),
    Fault(
        "trainers/planning.py",
        "if counts is None else counts.classes\n    shape",
        "if True else counts.classes\n    shape",
        PLANNING + "test_a_folders_classes_and_pictures_are_counted",
    ),
    Fault(
        "lab/command_line.py",
        "if seconds < 6000 else",
        "if seconds < 1e9 else",
        PLANNING + "test_time_is_told_in_a_unit_that_shows_it",
    ),
)
