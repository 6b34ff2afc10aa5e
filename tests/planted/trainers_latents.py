"""Faults planted in the autoencoders, the latent cache and the text encoders of trainers/."""

from tests.faults import Fault

TESTS = "tests/trainers/latents"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "trainers/autoencoders/taef2.py",
        "x = x + self.pool(x)",
        "x = self.pool(x)",
        f"{TESTS}/test_taef2.py::test_emoji_survive_the_round_trip",
    ),
    Fault(
        "trainers/autoencoders/taef2.py",
        "return 3 * torch.tanh(x / 3)",
        "return x",
        f"{TESTS}/test_taef2.py::test_without_its_pools_it_is_an_autoencoder_tiny",
    ),
    Fault(
        "trainers/autoencoders/strict.py",
        "[name for name in state if name not in own]",
        "[]",
        f"{TESTS}/test_taef2.py::test_in_a_folder_that_says_autoencoder_tiny_it_is_refused",
    ),
    Fault(
        "trainers/autoencoders/ldm_format.py",
        'f"up_blocks.{levels - 1 - level}.attentions"',
        'f"up_blocks.{level}.attentions"',
        f"{TESTS}/test_ldm_format.py::test_kl_gives_the_numbers_of_its_own_definition",
    ),
    Fault(
        "trainers/autoencoders/diffusers_models.py",
        "force_not_quantize=False",
        "force_not_quantize=True",
        f"{TESTS}/test_diffusers_models.py::test_vq_gives_latents_before_quantisation",
    ),
    Fault(
        "trainers/autoencoders/diffusers_models.py",
        "Encoded(posterior.mean, posterior.std)",
        "Encoded(posterior.mean, posterior.var)",
        f"{TESTS}/test_diffusers_models.py::test_kl_gives_mean_and_std_before_any_scaling",
    ),
    Fault(
        "trainers/latents/normalisation.py",
        " + shift.square() * total.count * part.count / count",
        "",
        f"{TESTS}/test_cache.py::test_normalisation_by_moments_of_the_training_split",
    ),
    Fault(
        "trainers/latents/normalisation.py",
        "squares + std.double().square().sum(0)",
        "squares",
        f"{TESTS}/test_cache.py::test_a_kl_that_samples_keeps_mean_and_std",
    ),
    Fault(
        "trainers/latents/encode.py",
        "pixels[may_flip].flip(-1)",
        "pixels[may_flip]",
        f"{TESTS}/test_cache.py::test_mirrored_latents_are_of_the_mirrored_picture_where_that_is_allowed",
    ),
    Fault(
        "trainers/latents/encode.py",
        "if not largest <= LARGEST:",
        "if largest < 0:",
        f"{TESTS}/test_cache.py::test_latents_that_fp16_cannot_hold_are_refused",
    ),
    Fault(
        "trainers/latents/cache.py",
        "flip = flip & self.may_flip[index]",
        "flip = flip & flip",
        f"{TESTS}/test_cache.py::test_pixels_are_kept_as_bytes_and_mirrored_as_they_are_read",
    ),
    Fault(
        "trainers/latents/rows.py",
        "torch.searchsorted(self.starts, index, right=True) - 1",
        "(torch.searchsorted(self.starts, index) - 1).clamp(min=0)",
        f"{TESTS}/test_cache.py::test_mapped_shards_give_the_same_as_memory_and_keep_no_file_open",
    ),
    Fault(
        "trainers/latents/build.py",
        'if path.is_file() and sha256_of(path) == shard["sha256"]:',
        "if path.is_file():",
        f"{TESTS}/test_building.py::test_what_is_missing_or_damaged_is_named_and_made_again",
    ),
    Fault(
        "trainers/latents/build.py",
        'if note.get("made") != self._made(images, start, stop):',
        "if note:",
        f"{TESTS}/test_building.py::test_a_shard_written_just_before_the_kill_is_kept",
    ),
    Fault(
        "trainers/latents/manifest.py",
        '"flip": data.flip and not pixels,',
        '"flip": False,',
        f"{TESTS}/test_building.py::test_another_recipe_is_refused_by_builder_and_reader_alike",
    ),
    Fault(
        "trainers/latents/manifest.py",
        'now["autoencoder hash"] = autoencoder_hash(recipe.autoencoder)',
        "pass",
        f"{TESTS}/test_building.py::test_another_autoencoder_of_the_same_kind_is_refused",
    ),
    Fault(
        "trainers/latents/tensors.py",
        "None if note is None else {NOTE: note}",
        'None if note is None else {NOTE: note, **{str(i): "" for i in range(8)}}',
        f"{TESTS}/test_building.py::test_what_is_missing_or_damaged_is_named_and_made_again",
    ),
    Fault(
        "trainers/latents/captions.py",
        ".long().clamp(max=counts - 1)",
        ".long()",
        f"{TESTS}/test_captions.py::test_captions_are_drawn_evenly_and_items_without_get_the_null_one",
    ),
    Fault(
        "trainers/text.py",
        "torch.where(mask, states[:, :kept], 0.0)",
        "states[:, :kept]",
        f"{TESTS}/test_text.py::test_clip_gives_pooled_embedding_then_tokens_then_zeros",
    ),
    Fault(
        "trainers/text.py",
        "weights = mask[..., None].to(states.dtype)",
        "weights = torch.ones_like(states[..., :1])",
        f"{TESTS}/test_text.py::test_averages_leave_padding_out",
    ),
    Fault(
        "trainers/sources.py",
        "order.uniforms(samples, CAPTION)",
        "order.uniforms(index, CAPTION)",
        f"{TESTS}/test_sources.py::test_each_visit_draws_its_own_caption_by_its_counter",
    ),
    Fault(
        "trainers/sources.py",
        "torch.bincount(cache.labels, minlength=len(self.classes)).double() / self.n",
        "torch.full((len(self.classes),), 1 / len(self.classes)).double()",
        f"{TESTS}/test_sources.py::test_the_law_of_the_classes_is_that_of_the_data",
    ),
    Fault(
        "trainers/sources.py",
        "order.normals(samples, self.shape, POSTERIOR)",
        "order.normals(samples, self.shape)",
        f"{TESTS}/test_sources.py::test_each_visit_draws_from_the_posterior_with_noise_of_its_own",
    ),
    Fault(
        "trainers/latents/manifest.py",
        "        parts.insert(1, _slug",
        "        str(_slug",
        f"{TESTS}/test_building.py::test_folders_of_pictures_give_their_caches_their_names",
    ),
    Fault(
        "trainers/latents/manifest.py",
        "    _check_keys(folder, manifest)\n    return",
        "    return",
        f"{TESTS}/test_building.py::test_a_manifest_that_lacks_a_key_is_named_with_the_cure",
    ),
    Fault(
        "trainers/latents/build.py",
        'entry["source"] != source and',
        "False and",
        f"{TESTS}/test_building.py::test_two_folders_of_one_name_are_both_named_where_they_meet",
    ),
    Fault(
        "trainers/pickles.py",
        "    if begins.startswith(PROTOCOLS):",
        "    if False:",
        "tests/trainers/test_pickles.py::test_a_pickle_under_any_name_is_refused_as_one",
    ),
    Fault(
        "trainers/bars.py",
        "    if not sys.stderr.isatty():",
        "    if True:",
        "tests/trainers/test_bars.py::test_on_a_terminal_there_is_a_bar_and_no_line",
    ),
    Fault(
        "trainers/bars.py",
        "        self._next = time.monotonic() + EVERY",
        "        self._next = time.monotonic()",
        "tests/trainers/test_bars.py::test_without_a_terminal_a_line_comes_at_the_start_and_every_half_minute",
    ),
    Fault(
        "trainers/gauges.py",
        "            self._bar.at(self._begun)",
        "            pass",
        "tests/trainers/test_bars.py::test_a_training_says_where_it_is_between_its_records",
    ),
)
