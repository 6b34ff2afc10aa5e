"""Guidance that has little to compare with."""

from trainers.recipes.schema import Recipe


def guidance(recipe: Recipe, preset: Recipe | None) -> list[str]:
    """Where guidance has little to compare with: a null branch learns the mean velocity of the conditions whose noises reach x_t, of one alone where priors lie apart.

    Of priors it is not said of a preset as it is, which has the guidance that its fellows have, so that they can be compared.
    """
    scale, prior = recipe.sampling.guidance, recipe.prior.kind
    if scale == 1 or recipe.data.condition == "none":
        return []
    if recipe.network.condition_dropout == 0:
        return [
            f"sampling.guidance={scale:g} compares with the null condition, which network.condition_dropout=0 never trains; "
            "set that to 0.1 or so, or sampling.guidance=1"
        ]
    if preset is not None and (scale, prior) == (preset.sampling.guidance, preset.prior.kind):
        return []
    if prior in ("class-gaussian", "class-mixture", "text-gaussian") and recipe.coupling.kind != "pairs":  # whose prior is the teacher's
        return [
            f"sampling.guidance={scale:g} may do little with prior.kind={prior!r}: the null condition is trained on the same noises, which tell the condition by themselves, "
            "so the further apart the conditions' priors lie, the smaller the difference that guidance enlarges"
        ]
    return []
