"""Faults planted in the sampling part of trainers/: samples, DDPM's samplers, methods' velocities, pairs, galleries, plans, opened checkpoints."""

from tests.faults import Fault

TESTS = "tests/trainers/sampling"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "trainers/sampling.py",
        "numbers = torch.arange(first, first + count)",
        "numbers = torch.arange(count)",
        f"{TESTS}/test_sampling.py::test_a_sample_is_the_same_in_any_batch_and_any_count",
    ),
    Fault(
        "trainers/sampling.py",
        "prior.from_normals(z.double(), condition, uniforms=uniforms).float()",
        "prior.from_normals(z, condition, uniforms=uniforms)",
        f"{TESTS}/test_pairs.py::test_the_noise_of_a_pair_is_the_teachers_bit_for_bit",
    ),
    Fault(
        "trainers/sampling.py",
        "uniforms(seed, samples, 1, COMPONENT)",
        "uniforms(seed, samples, 1, LABEL)",
        f"{TESTS}/test_sampling.py::test_a_mixture_draws_components_by_its_own_counter",
    ),
    Fault(
        "trainers/sampling.py",
        "(law.cumsum(0)[:-1] <= uniforms",
        "(torch.linspace(0, 1, len(law) + 1)[1:-1] <= uniforms",
        f"{TESTS}/test_sampling.py::test_classes_follow_their_law",
    ),
    Fault(
        "trainers/sampling.py",
        "t_span=(0.0, sampled.last_time)",
        "t_span=(0.0, 1.0)",
        f"{TESTS}/test_sampling.py::test_where_sampling_of_a_method_ends",
    ),
    Fault(
        "trainers/sampling.py",
        "sampled.path.start(x_0.to(device))",
        "x_0.to(device)",
        f"{TESTS}/test_sampling.py::test_states_begin_where_the_path_begins_and_end_at_the_sample",
    ),
    Fault(
        "trainers/sampling.py",
        'Guided(field, scale, convention="scale", null=null)',
        'Guided(field, scale, convention="extra", null=null)',
        f"{TESTS}/test_sampling.py::test_guidance_1_is_off_bit_for_bit_and_others_are_linear",
    ),
    Fault(
        "trainers/diffusion.py",
        "return 1 - (n + 1) / DDPM_STEPS",
        "return 1 - n / DDPM_STEPS",
        f"{TESTS}/test_diffusion.py::test_how_steps_map_to_times",
    ),
    Fault(
        "trainers/diffusion.py",
        "VariancePreserving().alpha(1 - (n + 1) / DDPM_STEPS) ** 2",
        "VariancePreserving().alpha(1 - n / DDPM_STEPS) ** 2",
        f"{TESTS}/test_diffusion.py::test_betas_multiply_to_alpha_squared",
    ),
    Fault(
        "trainers/diffusion.py",
        'solver_order=1 if solver == "ddim-scheduler" else 2',
        "solver_order=1",
        f"{TESTS}/test_diffusion.py::test_ddim_and_dpm_solver_converge_to_the_exact_flow_at_their_order",
    ),
    Fault(
        "trainers/diffusion.py",
        "round(DDPM_STEPS - i * DDPM_STEPS / count) - 1 for i in range(count)]",
        "round(DDPM_STEPS - i * DDPM_STEPS / count) - 1 for i in range(1, count + 1)]",
        f"{TESTS}/test_diffusion.py::test_the_network_is_called_first_at_the_prior_and_then_at_rising_times",
    ),
    Fault(
        "trainers/diffusion.py",
        "scheduler.set_timesteps(timesteps=steps(count), device=device)",
        "scheduler.register_to_config(timestep_spacing='trailing'); scheduler.set_timesteps(count, device=device)",
        f"{TESTS}/test_diffusion.py::test_any_number_of_steps_is_taken_exactly",
    ),
    Fault(
        "trainers/diffusion.py",
        "normals(self.seed, self.samples,",
        "normals(self.seed, torch.arange(len(self.samples)),",
        f"{TESTS}/test_diffusion.py::test_ancestral_noise_is_a_function_of_seed_and_sample",
    ),
    Fault(
        "trainers/diffusion.py",
        "VARIANCE + n, torch",
        "VARIANCE, torch",
        f"{TESTS}/test_diffusion.py::test_ancestral_steps_are_diffusers_own",
    ),
    Fault(
        "trainers/diffusion.py",
        "lost * (1 - there) / (1 - here)) * z",
        "lost) * z",
        f"{TESTS}/test_diffusion.py::test_ancestral_steps_are_diffusers_own",
    ),
    Fault(
        "trainers/methods.py",
        "(sigma**2 + (alpha * SPREAD) ** 2) / (SPREAD * wronskian) ** 2",
        "(sigma**2 + SPREAD**2) / (SPREAD * wronskian) ** 2",
        f"{TESTS}/test_velocities.py::test_edm_weights_are_those_of_its_table_1",
    ),
    Fault(
        "trainers/methods.py",
        "t = t.clamp(min=EDGE, max=min(1 - EDGE, self.last_time))",
        "t = t.clamp(min=0.05, max=0.95)",
        f"{TESTS}/test_velocities.py::test_the_exact_prediction_of_any_target_implies_the_exact_field",
    ),
    Fault(
        "trainers/pairs.py",
        'if shards[number]["count"] == count and _sound(wanted.out, shards[number]):',
        'if shards[number]["count"] == count:',
        f"{TESTS}/test_pairs.py::test_what_is_missing_or_damaged_is_made_again_and_nothing_else",
    ),
    Fault(
        "trainers/pairs.py",
        'count = max(count, shards[number]["count"])',
        "pass",
        f"{TESTS}/test_pairs.py::test_more_are_added_and_fewer_take_none_away",
    ),
    Fault(
        "trainers/pairs.py",
        "        first=first,\n",
        "",
        f"{TESTS}/test_pairs.py::test_the_noise_of_a_pair_is_the_teachers_bit_for_bit",
    ),
    Fault(
        "trainers/pairs.py",
        "torch.arange(len(stored)) % HELD_OUT == HELD_OUT - 1",
        "torch.arange(len(stored)) % HELD_OUT == 0",
        f"{TESTS}/test_pairs.py::test_the_noise_of_a_pair_is_the_teachers_bit_for_bit",
    ),
    Fault(
        "trainers/trained.py",
        "        checkpoint.check()\n",
        "",
        f"{TESTS}/test_trained.py::test_a_damaged_newest_checkpoint_is_named_and_passed_over",
    ),
    Fault(
        "trainers/galleries.py",
        "if known is None or known.shape != empty.shape or not torch.allclose(empty.cpu(), known, rtol=1e-2, atol=1e-2):",
        "if known is None:",
        f"{TESTS}/test_galleries.py::test_prompts_are_encoded_in_turn_and_the_encoder_must_be_the_trainings",
    ),
    Fault(
        "trainers/grids.py",
        "GAP + i // at.columns * at.cell, GAP + i % at.columns * at.cell",
        "GAP + i % at.rows * at.cell, GAP + i // at.rows * at.cell",
        f"{TESTS}/test_galleries.py::test_rows_of_the_grid",
    ),
    Fault(
        "trainers/planning.py",
        "processes * _peak(device, recipe) * use / step",
        "processes * _peak(device, recipe) * use / forward",
        f"{TESTS}/test_planning.py::test_hours_for_imagenet_on_one_h200",
    ),
    Fault(
        "trainers/sampling.py",
        'if adaptive and states and grid == "uniform":',
        "if False:",
        "tests/trainers/sampling/test_sampling.py::test_an_adaptive_trajectory_is_told_at_regular_times_and_costs_nothing",
    ),
)
