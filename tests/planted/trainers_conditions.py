"""Faults in what an evaluation's samples are told, in errors of its scores, and in where a text prior's numbers come from."""

from tests.faults import Fault

TOLD = "tests/trainers/evaluation/test_conditions.py::"
SCORES = "tests/trainers/evaluation/test_scores.py::"
FOLDS = "tests/trainers/priors/test_cross_fitting.py::"

FAULTS = (
    Fault(
        "trainers/evaluation/conditions.py",
        "order[numbers % len(self.captions)]",
        "order[numbers % (len(self.captions) - 1)]",
        TOLD + "test_as_many_samples_as_pictures_with_captions_are_told_one_caption_of_each",
    ),
    Fault(
        "trainers/evaluation/conditions.py",
        "own[int(share * len(own))]",
        "own[int(share * max(1, len(own) - 1))]",
        TOLD + "test_every_caption_of_a_picture_is_as_likely",
    ),
    Fault(
        "trainers/evaluation/conditions.py",
        "labels(self.shares, numbers, self.seed)",
        "labels(self.shares[:-1] / self.shares[:-1].sum(), numbers, self.seed)",
        TOLD + "test_classes_come_up_by_their_shares_to_the_last_one",
    ),
    Fault(
        "trainers/evaluation/scores.py",
        "float(found.std()) * math.sqrt(size / (least - size) + 1 / subsets)",
        "float(found.std()) * math.sqrt(size / least + 1 / subsets)",
        SCORES + "test_the_error_of_a_kernel_distance_shrinks_with_the_whole_sample_not_with_its_subsets",
    ),
    Fault(
        "trainers/batches.py",
        "if self.held_out:",
        "if not self.held_out:",
        FOLDS + "test_training_draws_from_the_mapper_that_did_not_see_the_item_and_held_out_items_from_all",
    ),
    Fault(
        "trainers/validation.py",
        "held_out=True",
        "held_out=False",
        FOLDS + "test_the_held_out_loss_takes_no_item_for_a_training_item",
    ),
    Fault(
        "trainers/sampling.py",
        "return prior.from_normals(z.double(), condition, uniforms=uniforms).float()",
        "return prior.for_training(z.double(), condition, torch.arange(len(z)), uniforms=uniforms).float()",
        FOLDS + "test_samples_start_from_the_mean_of_all_mappers",
    ),
)
