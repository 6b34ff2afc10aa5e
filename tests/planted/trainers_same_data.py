"""Faults planted in what a run is gone on with."""

from tests.faults import Fault

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
)
