"""Planted in exports, the list of models and the comparison of checkpoints."""

from tests.faults import Fault

COMPARE = "tests/server/test_compare.py::"
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
        'load_trained(folder, asked["weights"])',
        "load_trained(folder)",
        COMPARE + "test_panels_have_the_same_numbers_and_their_pictures_are_samples_own",
    ),
    Fault(
        "app/tasks/compare.py",
        "square().mean(1)\n        errors[nfe]",
        "mean(1)\n        errors[nfe]",
        COMPARE + "test_solver_errors_are_against_the_checkpoints_own_exact_ends",
    ),
    Fault(
        "trainers/catalogue.py", "is_run(home / check_name(name))", "is_run(home / name)", COMPARE + "test_what_cannot_be_is_one_sentence"
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
)
