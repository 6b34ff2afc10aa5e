"""Faults planted in what `auto` comes to."""

from tests.faults import Fault

PRECISION = "tests/trainers/training/test_precision.py::"
FAULTS = (
    Fault(
        "trainers/precision.py",
        'BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16")',
        'BF16_INSTRUCTIONS = ("avx512_f", "amx_bf16", "bf16")',
        PRECISION + "test_a_processor_has_bf16_where_it_has_instructions_for_it",
    ),
    Fault(
        "trainers/precision.py",
        '    if begun is not None and begun.training.precision != "auto":',
        "    if begun is not None:",
        PRECISION + "test_a_run_that_never_began_has_no_say",
    ),
    Fault(
        "trainers/training.py",
        "settled(recipe, run.recipe() if run.exists else None)",
        "settled(recipe)",
        PRECISION + "test_a_run_holds_the_precision_and_may_be_gone_on_with_elsewhere",
    ),
    Fault(
        "trainers/planning.py",
        'bf16="bf16" in DEVICES[device].peak',
        "bf16=True",
        PRECISION + "test_a_plan_counts_with_what_the_device_has",
    ),
)
