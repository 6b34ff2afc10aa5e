"""Faults planted in the training of small networks, their pairs, grids and reports."""

from tests.faults import Fault

NETWORKS = "tests/toy/test_networks.py"
PAIRS = "tests/toy/test_training_pairs.py"
LEARNING = "tests/toy/test_learning.py"
REPORT = "tests/toy/test_learning_report.py"
GRID = "tests/toy/test_snapshots.py"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "toy/learning/networks.py",
        "residual = (alpha * d_sigma - sigma * d_alpha).abs()",
        "residual = (alpha * d_sigma + sigma * d_alpha).abs()",
        f"{NETWORKS}::test_the_linear_part_is_least_squares_and_what_is_left_has_unit_size",
    ),
    Fault(
        "toy/learning/networks.py",
        "(alpha * d_sigma + sigma * d_alpha) * c",
        "(alpha * d_sigma - sigma * d_alpha) * c",
        f"{NETWORKS}::test_the_linear_part_is_least_squares_and_what_is_left_has_unit_size",
    ),
    Fault(
        "toy/learning/networks.py",
        "rows = torch.arange(self.count) + (round_ << 32)",
        "rows = torch.arange(self.count)",
        f"{NETWORKS}::test_networks_begin_by_their_own_seed_alone_and_know_nothing",
    ),
    Fault(
        "toy/learning/networks.py",
        "time = time.reshape(-1)[:1] if shared else time",
        "time = time.reshape(-1)[:1]",
        f"{NETWORKS}::test_all_networks_at_once_and_one_by_one_give_the_same_velocity",
    ),
    Fault(
        "lab/random.py",
        "manual_seed(int(uniforms(seed, torch.tensor([number]), 1, stream) * 2**32))",
        "manual_seed(seed + number + stream)",
        f"{PAIRS}::test_blocks_are_functions_of_seed_and_number",
    ),
    Fault(
        "toy/learning/pairs.py",
        "self.coupling = PerClassOT() if per_class else BatchOT()",
        "self.coupling = BatchOT()",
        f"{PAIRS}::test_loom_within_classes_keeps_each_classs_noises",
    ),
    Fault(
        "toy/learning/pairs.py",
        "self._normals[network][noise], self._uniforms[network][noise]",
        "self._normals[network][noise], self._uniforms[network][slots]",
        f"{PAIRS}::test_loom_within_classes_keeps_each_classs_noises",
    ),
    Fault(
        "toy/learning/pairs.py",
        "self.tables = [AssignmentTable.from_state(words) for _, words in state]",
        "pass",
        f"{LEARNING}::test_pausing_going_back_and_going_on_change_nothing",
    ),
    Fault(
        "toy/learning/learner.py",
        "generator(self.seeds[network], number, TIME_STREAM)",
        "generator(self.seeds[0], number, TIME_STREAM)",
        f"{LEARNING}::test_a_network_does_not_depend_on_its_company",
    ),
    Fault(
        "toy/learning/learner.py",
        "target = (sample.dx_t - scaled.drift - scaled.slope * away)",
        "target = (sample.dx_t - scaled.slope * away)",
        f"{LEARNING}::test_between_gaussians_the_field_approaches_the_exact_affine_one",
    ),
    Fault(
        "toy/learning/learner.py",
        "told = condition[place] if made.sees_class else None",
        "told = condition.flip(1)[place] if made.sees_class else None",
        f"{LEARNING}::test_reflows_pairs_are_the_flow_of_the_round_before",
    ),
    Fault(
        "toy/learning/learner.py",
        "(self._second, snapshot.second)",
        "(self._second, snapshot.first)",
        f"{LEARNING}::test_pausing_going_back_and_going_on_change_nothing",
    ),
    Fault(
        "toy/learning/report.py",
        "(wrong, v, u)",
        "(wrong, v, s.dx_t)",
        f"{REPORT}::test_loss_above_the_floor_is_the_squared_field_error_for_any_velocity",
    ),
    Fault(
        "toy/learning/report.py",
        "parts = [by_time_bin(values, t, BINS) for values in (total, least, total - least, e)]",
        "parts = [by_time_bin(values, t, BINS) for values in (total, least, total - e, e)]",
        f"{REPORT}::test_loss_above_the_floor_is_the_squared_field_error_for_any_velocity",
    ),
    Fault(
        "toy/learning/report.py",
        "model=_apart(own.trajectory.end, goal, off)",
        "model=_apart(start, goal, off)",
        f"{REPORT}::test_full_ot_is_measured_on_its_own_pairs",
    ),
    Fault(
        "toy/learning/grids.py",
        "place = place.clamp(min=0)",
        "place = place.abs()",
        f"{GRID}::test_outside_the_box_a_velocity_is_that_of_its_edge",
    ),
    Fault(
        "toy/learning/grids.py",
        "found / _rate(self.path, time)[:, None]",
        "found / _rate(self.path, self.t[earlier])[:, None]",
        f"{GRID}::test_grids_hold_flows_of_paths_that_are_unbounded_at_the_end",
    ),
    Fault(
        "toy/learning/grids.py",
        "- velocity(x, time, known)).square().sum(1).mean())",
        "- velocity(x, time, known)).square().mean())",
        f"{GRID}::test_halving_the_spacing_quarters_the_error",
    ),
)
