"""Faults planted in the readers of trainers/data."""

from tests.faults import Fault

TESTS = "tests/trainers/data"

FAULTS: tuple[Fault, ...] = (
    Fault(
        "trainers/data/imagenet_npz.py",
        "labels.astype(np.int64) - 1, offset",
        "labels.astype(np.int64) % 1000, offset",
        f"{TESTS}/test_imagenet.py::test_pictures_are_planar_and_labels_the_devkits_less_one",
    ),
    Fault(
        "trainers/data/imagenet_npz.py",
        "for number in sorted(batches)]",
        "for number in sorted(batches, key=str)]",
        f"{TESTS}/test_imagenet.py::test_pictures_are_planar_and_labels_the_devkits_less_one",
    ),
    Fault(
        "trainers/data/imagenet_npz.py",
        "                archive.check()\n                self._checked.add",
        "                self._checked.add",
        f"{TESTS}/test_imagenet.py::test_an_archive_with_flipped_bits_is_damaged",
    ),
    Fault(
        "trainers/data/imagenet_npz.py",
        "for (split, number), file in pickled.items():",
        "for (split, number), file in ():",
        f"{TESTS}/test_imagenet.py::test_the_pickled_variant_is_refused_with_the_reason_and_never_opened",
    ),
    Fault(
        "trainers/data/synsets.py",
        "shared[names[each]] > 1",
        "shared[names[each]] > 2",
        f"{TESTS}/test_imagenet.py::test_names_come_from_the_map_beside_or_above_and_its_absence_is_said",
    ),
    Fault(
        "trainers/data/official.py",
        'if found["pictures"] != wanted:',
        'if found["pictures"] > wanted:',
        f"{TESTS}/test_imagenet.py::test_the_official_counts_match_only_as_a_whole",
    ),
    Fault(
        "trainers/data/inspection.py",
        "published = path.is_file() and check_archive(path)",
        "published = False and check_archive(path)",
        f"{TESTS}/test_folders.py::test_an_official_archive_with_another_hash_is_damaged",
    ),
    Fault(
        "trainers/data/pictures.py",
        "if image.has_transparency_data:",
        'if image.mode == "RGBA":',
        f"{TESTS}/test_pictures.py::test_transparency_lies_on_white_also_of_palettes_and_of_grey",
    ),
    Fault(
        "trainers/data/pictures.py",
        "_on_white(ImageOps.exif_transpose(stored))",
        "_on_white(stored)",
        f"{TESTS}/test_pictures.py::test_exif_rotation_is_applied",
    ),
    Fault(
        "trainers/data/pictures.py",
        "left, top = (image.width - side) // 2, (image.height - side) // 2",
        "left, top = 0, 0",
        f"{TESTS}/test_pictures.py::test_the_crop_is_the_middle_square_and_squash_keeps_all",
    ),
    Fault(
        "trainers/data/stores.py",
        "if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):",
        "if file.read(tarfile.BLOCKSIZE) == b'':",
        f"{TESTS}/test_folders.py::test_a_tar_overwritten_in_the_middle_is_damaged_and_not_shorter",
    ),
    Fault(
        "trainers/data/listed.py",
        "kept = [k for k, each in zip(index, results, strict=True) if not isinstance(each, Broken)]",
        "kept = index[: len(whole)]",
        f"{TESTS}/test_folders.py::test_a_broken_picture_is_left_out_of_its_batch_and_named",
    ),
    Fault(
        "trainers/data/folders.py",
        "own == (split == ",
        "own != (split == ",
        f"{TESTS}/test_folders.py::test_ffhq_is_no_set_of_classes_and_holds_out_the_last_ten_thousand",
    ),
    Fault(
        "trainers/data/coco.py",
        "{name: tuple(captions) for name",
        "{name: tuple(captions[:1]) for name",
        f"{TESTS}/test_coco.py::test_captions_are_joined_by_id_in_the_order_of_the_files",
    ),
    Fault(
        "trainers/data/coco.py",
        "lost = captions.orphans + sum(",
        "lost = sum(",
        f"{TESTS}/test_coco.py::test_images_without_captions_and_captions_without_images_are_counted",
    ),
    Fault(
        "trainers/data/cifar.py",
        ".max() >= len(NAMES):",
        ".max() > len(NAMES):",
        f"{TESTS}/test_cifar.py::test_a_damaged_file_is_named",
    ),
    Fault(
        "trainers/data/hdf5.py",
        "array.transpose(1, 2, 0)",
        "array.transpose(2, 1, 0)",
        f"{TESTS}/test_hdf5.py::test_the_three_layouts_give_the_same_pictures",
    ),
    Fault(
        "trainers/data/digits.py",
        "(255 / SHADES)",
        "(255 // SHADES)",
        f"{TESTS}/test_embedded.py::test_digits_are_scikit_learns_in_eight_bits",
    ),
    Fault(
        "trainers/data/make_emoji.py",
        "first = [lowest if each in alike else each for each in first]",
        "first = list(first)",
        f"{TESTS}/test_embedded.py::test_pictures_that_look_alike_are_one_design_through_chains",
    ),
    Fault(
        "trainers/data/folders.py",
        "(layout.label[name], hashlib.sha256(Path(name).name.encode()).digest(), name)",
        "hashlib.sha256(Path(name).name.encode()).digest()",
        f"{TESTS}/test_folders.py::test_class_folders_hold_out_a_tenth_of_each_class_and_say_so",
    ),
    Fault(
        "trainers/data/folders.py",
        "if set(layout.splits) & set(HELD_OUT):",
        "if False:",
        f"{TESTS}/test_folders.py::test_what_has_a_held_out_split_is_not_split_again",
    ),
    Fault(
        "trainers/data/folders.py",
        'found = {"pictures": sum(each["pictures"] for each in splits.values())',
        'found = {"pictures": found["pictures"]',
        f"{TESTS}/test_folders.py::test_what_was_parted_here_is_compared_with_the_published_counts_as_one",
    ),
    Fault(
        "trainers/data/several.py",
        '{"train", "train2017", "val2017"} & names) or',
        '{"train2017", "val2017"} & names) or',
        f"{TESTS}/test_command.py::test_what_is_one_data_set_is_not_taken_for_several",
    ),
)
