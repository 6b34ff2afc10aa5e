"""Faults planted in LOOM-CFM's assignment table."""

from tests.faults import Fault

TESTS = "tests/lab/test_assignment.py"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "lab/assignment.py",
        "self._noise[rows] = self._noise[rows[index.cpu().numpy()]]",
        "self._noise[rows[index.cpu().numpy()]] = self._noise[rows]",
        f"{TESTS}::test_the_returned_pairs_are_those_that_the_table_then_holds",
    ),
    Fault(
        "lab/assignment.py",
        "if _cost(pairs.x_0, x_1) < _cost(x_0, x_1):",
        "if True:",
        f"{TESTS}::test_pairs_of_equal_cost_stay_where_they_are",
    ),
    Fault(
        "lab/assignment.py",
        "return index * self.caches + (first + epoch) % self.caches",
        "return index * self.caches + first % self.caches",
        f"{TESTS}::test_each_round_of_epochs_visits_each_slot_once",
    ),
    Fault(
        "lab/assignment.py",
        "uniforms(self.seed, index + (epoch // self.caches << 32), 1, CACHE)",
        "uniforms(self.seed, index, 1, CACHE)",
        f"{TESTS}::test_in_time_each_slot_of_one_datum_meets_each_slot_of_another_and_batches_do_not_matter",
    ),
    Fault(
        "lab/assignment.py",
        "self._noise[due] += np.uint32(size)",
        "self._noise[due] += np.uint32(count)",
        f"{TESTS}::test_a_refresh_replaces_the_oldest_noises_by_new_ones_and_leaves_the_others_in_their_slots",
    ),
    Fault(
        "lab/assignment.py",
        "table.oldest, table._noise = oldest, words[HEADER:].copy()",
        "table.oldest, table._noise = 0, words[HEADER:].copy()",
        f"{TESTS}::test_noises_beyond_two_to_the_31_are_kept_and_those_beyond_two_to_the_32_refused",
    ),
    Fault(
        "lab/assignment.py",
        "words[HEADER:].copy()",
        "words[HEADER:]",
        f"{TESTS}::test_a_checkpoint_does_not_change_with_the_table",
    ),
    Fault(
        "lab/assignment.py",
        "rows = along.argsort(stable=True)",
        "rows = self._shuffled(self.n, epoch, ORDER)",
        f"{TESTS}::test_projected_batches_are_neighbours_in_shuffled_order",
    ),
    Fault(
        "lab/assignment.py",
        "rows = rows[condition.cpu()[rows].argsort(stable=True)]",
        "rows = rows.flip(0)",
        f"{TESTS}::test_batches_filled_class_by_class_serve_per_class_exchange_better_than_random_ones",
    ),
    Fault(
        "lab/assignment.py",
        'order == "alternating" and epoch % 2 == 0',
        'order == "alternating" and epoch % 2 == 1',
        f"{TESTS}::test_alternating_batches_are_random_in_even_epochs_and_projected_in_odd_ones",
    ),
    Fault(
        "lab/assignment.py",
        "count = max(1, round(fraction * size))",
        "count = max(1, int(fraction * size))",
        f"{TESTS}::test_a_refresh_rounds_to_the_nearest_number_of_noises",
    ),
)
