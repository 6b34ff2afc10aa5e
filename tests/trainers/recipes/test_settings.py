"""Recipes as text: single settings, TOML, checks between values."""

from dataclasses import replace

import pytest

from trainers.recipes import apply, by_name, check, differences, load_recipe, presets, read_recipe, warnings, write_recipe
from trainers.recipes.checks import CHOICES, RANGES
from trainers.recipes.files import from_toml, to_toml
from trainers.recipes.idle import USES
from trainers.recipes.schema import Recipe
from trainers.recipes.settings import flatten, parse


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("network.channels=64,128,256", (64, 128, 256)),
        ("network.channels=64", (64,)),
        ("network.attention=", ()),
        ("training.batch=64", 64),
        ("optimiser.learning_rate=3e-4", 3e-4),
        ("optimiser.clip=none", None),
        ("optimiser.betas=0.8,0.9", (0.8, 0.9)),
        ("data.flip=false", False),
        ("data.path=a=b", "a=b"),
        ("prior.shrinkage=0.5", 0.5),
    ],
)
def test_a_setting_is_read_as_its_fields_type(setting: str, value: object):
    recipe = apply(Recipe(), parse([setting]))
    found = flatten(recipe)[setting.partition("=")[0]]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.bach=64", "did you mean 'training.batch'"),
        ("path.zzzzzzzzzz=3", r"a recipe has no 'path.zzzzzzzzzz'; there are path.kind, path.sigma_min$"),
        ("zzzzzzzzzz=3", r"there are name, about, reported, data, autoencoder, .*, sampling$"),
        ("training.batch=many", "training.batch='many' must be a whole number"),
        ("training.batch=1.5", "must be a whole number"),
        ("data.flip=perhaps", "must be true or false"),
        ("optimiser.betas=0.9", "must be 2 numbers"),
        ("training.batch", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
    ],
)
def test_a_setting_that_does_not_fit_is_named(setting: str, words: str):
    with pytest.raises(ValueError, match=words):
        apply(Recipe(), parse([setting]))


@pytest.mark.parametrize("name", sorted(presets()))
def test_a_preset_survives_its_file(name: str, tmp_path):
    recipe = by_name(name)
    write_recipe(recipe, tmp_path / "recipe.toml")
    assert read_recipe(tmp_path / "recipe.toml") == recipe


def test_a_file_may_name_a_few_values_only(tmp_path):
    (tmp_path / "r.toml").write_text('name = "mine"\n[training]\nbatch = 32\n[optimiser]\nclip = "none"\n')
    recipe = load_recipe(str(tmp_path / "r.toml"), ["training.steps=7"])
    assert (recipe.name, recipe.training.batch, recipe.training.steps, recipe.optimiser.clip) == ("mine", 32, 7, None)
    assert recipe.network == Recipe().network


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training]\nbatch = ", "is not TOML"),
        ("version = 99", "version 99"),
        ("[training]\nbaatch = 3", "did you mean 'training.batch'"),
        ('[training]\nbatch = "x"', "must be a whole number"),
        ("[training]\nbatch = 1.5", "must be a whole number"),
        ("training = 3", "did you mean|has no 'training'"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused_by_name(text: str, words: str):
    with pytest.raises(ValueError, match=words) as refused:
        from_toml(text, "mine.toml")
    assert "mine.toml" in str(refused.value)


def test_differences_name_what_changed():
    one = by_name("digits-condot")
    assert differences(one, apply(one, {"training.batch": 7})) == {"training.batch": (256, 7)}
    assert not differences(one, from_toml(to_toml(one), "it"))


def test_unknown_recipes_are_refused_with_the_nearest_few_and_how_to_list_all():
    with pytest.raises(ValueError, match="did you mean 'emoji-cpd'") as refused:
        load_recipe("emoji-cpt")
    said = str(refused.value)
    assert f"`python -m trainers recipes` lists all {len(presets())}" in said
    assert sum(name in said for name in presets()) <= 4
    with pytest.raises(ValueError, match=r"recipe='qqqq' is unknown. `python"):
        load_recipe("qqqq")
    with pytest.raises(ValueError, match="no such file"):
        load_recipe("nowhere.toml")


TEXT = ["data.condition=text", "text.encoder=clip", "network.kind=unet-conditional", "network.cross_attention=64"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["prior.kind=class-gaussian", "data.condition=none"], "needs data.condition='class'"),
        (["coupling.kind=class-batch-ot", "data.condition=none"], "needs data.condition='class'"),
        (["coupling.kind=batch-ot", "prior.kind=class-gaussian"], "blind to the condition"),
        (["coupling.kind=loom", "prior.kind=class-gaussian"], "blind to the condition"),
        (["coupling.kind=class-loom", "prior.kind=class-mixture"], "class-mixture"),
        (["coupling.kind=c2ot", "data.condition=none"], "use batch-ot"),
        (["coupling.kind=pairs"], "python -m trainers pairs"),
        (["coupling.batch=50", "training.batch=128"], "must divide"),
        (["training.accumulation=3"], "must be a multiple"),
        (["loss.target=score", "coupling.kind=batch-ot"], "independent"),
        (["loss.target=score", "prior.kind=class-gaussian"], "standard or scale-matched"),
        (["loss.times=ddpm-1000"], "path.kind='vp'"),
        (["path.sigma_min=0.1", "path.kind=vp"], "CondOT's"),
        (["data.condition=text"], "text"),
        (["network.channels=48,96", "network.norm_groups=32"], "multiples of network.norm_groups"),
        (["network.kind=mlp"], "one width"),
        (["sampling.solver=heunn"], "did you mean 'heun'"),
        (["sampling.nfe=6"], "sampling.nfe=6 cannot be used exactly by heun under guidance; nearest: 4 or 8"),
        (["sampling.nfe=7", "sampling.guidance=1"], "nearest: 6 or 8"),
        (["sampling.solver=ddpm"], "loss.times='ddpm-1000'"),
        (["sampling.grid=quux"], "sampling.grid='quux' is unknown"),
        (["training.ema=1.0"], "decays in"),
        (["optimiser.betas=0.9,1.0"], r"\[0, 1\)"),
        (["training.batch=0"], "training.batch=0 must lie in 1 to 1,048,576"),
        (["network.dropout=1"], "network.dropout=1.0 must lie in 0 to 0.99"),
        ([*TEXT, "prior.kind=text-gaussian", "coupling.kind=batch-ot"], "its own text; use independent"),
        (["prior.kind=gauss"], "is unknown"),
        (["network.kind=unet-conditional"], "network.cross_attention"),
        (["network.kind=unet-conditional", "network.cross_attention=64", "network.resample=resnet"], "has conv alone"),
        (["autoencoder.posterior=sample"], "needs autoencoder.kind='kl'"),
        ([*TEXT, "prior.kind=text-gaussian", "prior.mean=0"], "leave it 1"),
        (
            ["loss.times=ddpm-1000", "path.kind=vp", "loss.target=noise", "sampling.solver=ddpm", "sampling.grid=edm"],
            "leave it uniform",
        ),
    ],
)
def test_values_that_do_not_go_together_are_refused(settings: list[str], words: str):
    with pytest.raises(ValueError, match=words):
        check(apply(by_name("emoji-condot"), parse(settings)))


def test_every_choice_and_range_is_of_a_field_that_exists():
    known = flatten(Recipe())
    assert set(CHOICES) | set(RANGES) <= set(known)
    numbers = {n for n, v in known.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    assert numbers <= set(RANGES)


def test_condition_blind_transport_with_conditions_is_warned_about():
    for name, cure in (
        ("emoji-batchot", "class-batch-ot or c2ot"),
        ("emoji-loom", "class-loom"),
        ("emoji-text-batchot", "c2ot"),
        ("batchot-imagenet64", "c2ot"),
    ):
        (sentence,) = warnings(by_name(name))
        assert cure in sentence
    assert not warnings(by_name("emoji-class-batchot"))
    assert not warnings(by_name("loom-cifar10"))


def test_loom_with_moving_latents_is_warned_about():
    loom = by_name("loom-ffhq256-latent")
    moving = replace(loom, autoencoder=replace(loom.autoencoder, kind="kl", posterior="sample"))
    assert "may rise" in warnings(moving)[0]


IDLE = [
    ("emoji-condot", "prior.rank=4", "prior.covariance=low-rank"),
    ("emoji-condot", "prior.shrinkage=0.5", "prior.kind=pooled-gaussian"),
    ("emoji-condot", "prior.mean=0", "prior.kind=pooled-gaussian"),
    ("emoji-condot", "prior.components=3", "prior.kind=class-mixture"),
    ("emoji-condot", "prior.mapper_width=64", "prior.kind=text-gaussian"),
    ("emoji-condot", "coupling.batch=64", "coupling.kind=batch-ot"),
    ("emoji-condot", "coupling.caches=4", "coupling.kind=loom"),
    ("emoji-batchot", "coupling.refresh=0.1", "coupling.kind=loom"),
    ("emoji-c2ot", "coupling.weight=2", "data.condition=text"),
    ("emoji-condot", "coupling.pairs=here", "coupling.kind=pairs"),
    ("digits-condot", "loss.time_mean=1", "loss.times=logit-normal or edm"),
    ("emoji-condot", "loss.time_steepness=2", "loss.times=u-shaped"),
    ("emoji-condot", "loss.time_beta=2", "loss.times=beta"),
    ("emoji-ddpm", "network.time_scale=1", "loss.times other than ddpm-1000"),
    ("digits-condot", "network.resample=resnet", "network.kind=unet"),
    ("emoji-condot", "network.heads=4", "network.kind=unet-conditional"),
    ("cpd-imagenet64", "network.heads_of=32", "network.heads=none"),
    ("emoji-condot", "text.max_tokens=8", "data.condition=text"),
    ("digits-condot", "autoencoder.path=here", "autoencoder.kind"),
    ("digits-condot", "data.preparation=squash", "data.reader="),
    ("fm-cifar10", "sampling.nfe=4", "adaptive"),
    ("fm-cifar10", "sampling.guidance=2", "data.condition="),
    ("emoji-reflow", "prior.rank=3", "coupling.kind other than pairs"),
]


@pytest.mark.parametrize(("name", "setting", "words"), IDLE, ids=[f"{name} {setting}" for name, setting, _ in IDLE])
def test_a_setting_that_changes_nothing_is_said_with_what_would_use_it(name: str, setting: str, words: str):
    pairs = ["coupling.pairs=here"] if name == "emoji-reflow" else []
    plain, changed = (load_recipe(name, [*pairs, *more]) for more in ([], [setting]))
    (sentence,) = [s for s in warnings(changed) if s not in warnings(plain)]
    assert f"{setting.partition('=')[0]}=" in sentence
    assert "has no effect here: it needs" in sentence
    assert words in sentence


USED = [
    ("emoji-cpd", ["prior.rank=4", "prior.shrinkage=0.5", "prior.mean=0"]),
    ("emoji-cpd-mixture", ["prior.components=3"]),
    ("emoji-text-cpd", ["prior.mapper_width=64", "prior.folds=3"]),
    ("emoji-text-c2ot", ["coupling.weight=2", "coupling.batch=64"]),
    ("emoji-class-loom", ["coupling.caches=2", "coupling.refresh=0.1"]),
    ("emoji-condot", ["loss.time_mean=1", "loss.time_std=2", "network.heads_of=32", "sampling.nfe=8", "data.preparation=squash"]),
    ("emoji-condot", ["loss.times=beta", "loss.time_beta=2"]),
    ("emoji-condot", ["loss.times=edm", "loss.time_mean=-1.2"]),
    ("digits-reflow", ["coupling.pairs=here", "loss.time_steepness=2"]),
]


@pytest.mark.parametrize(("name", "settings"), USED, ids=[f"{name} {settings[0]}" for name, settings in USED])
def test_a_setting_that_is_used_is_not_warned_about(name: str, settings: list[str]):
    assert not [s for s in warnings(load_recipe(name, settings)) if "no effect" in s]


def test_settings_of_one_reason_share_a_sentence():
    changed = load_recipe("emoji-condot", ["coupling.caches=4", "coupling.refresh=0.5"])
    assert warnings(changed) == ["coupling.caches=4, coupling.refresh=0.5 have no effect here: they need coupling.kind=loom or class-loom"]


@pytest.mark.parametrize("name", sorted(presets()))
def test_a_preset_has_no_idle_settings_of_its_own(name: str):
    """What its base sets for other methods is not the user's doing; nor is a value that he sets back to the schema's."""
    assert not [s for s in warnings(by_name(name)) if "no effect" in s]
    assert not [s for s in warnings(apply(by_name(name), {"prior.rank": 16, "coupling.caches": 1})) if "no effect" in s]


def test_every_use_names_settings_that_exist():
    assert {name for use in USES for name in use.names} <= set(flatten(Recipe()))


def test_guidance_without_something_to_compare_with_is_warned_about():
    assert not warnings(by_name("emoji-cpd"))  # the guidance of its fellows, with which it is compared
    (sentence,) = warnings(load_recipe("emoji-cpd", ["sampling.guidance=3"]))
    assert "sampling.guidance=3 may do little with prior.kind='class-gaussian'" in sentence
    assert not warnings(load_recipe("emoji-cpd", ["sampling.guidance=1"]))
    (sentence,) = warnings(load_recipe("emoji-condot", ["prior.kind=class-gaussian"]))
    assert "may do little" in sentence
    assert not warnings(by_name("emoji-condot"))
    (sentence,) = warnings(load_recipe("emoji-condot", ["network.condition_dropout=0"]))
    assert "which network.condition_dropout=0 never trains" in sentence
    (sentence,) = warnings(load_recipe("condot-imagenet64", ["sampling.guidance=2"]))
    assert "which network.condition_dropout=0 never trains" in sentence
