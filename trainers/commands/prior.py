"""python -m trainers prior RECIPE"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Prior:
    """Fit a recipe's prior to its latent cache: class statistics, or the text mapper. Prints what the prior knows of held-out data, and writes it as safetensors, which
    draws x_0 without any flow too; --pictures shows such samples."""

    recipe: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE")]
    """Name of a recipe (`python -m trainers recipes` lists them) or a TOML file."""
    data: str | None = None
    """Folder or file of the pictures, where the recipe has none of its own."""
    autoencoder: str | None = None
    """Folder or hub name of the autoencoder."""
    cache: Path | None = None
    """Folder of the latents. Unless given: RUNS/cache/NAME."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """KEY=VALUE, any value of the recipe: --set prior.covariance=diagonal."""
    runs: Path = Path("runs")
    """Where caches are kept."""
    out: Path | None = None
    """File to write. Unless given: where training looks for it, in the cache's folder."""
    pictures: Path | None = None
    """PNG to draw samples of the prior alone into, decoded, one row for each class or held-out caption."""
    json: bool = False
    """Print one JSON object."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.latents import default_folder, open_cache
        from trainers.priors import fit_prior
        from trainers.priors.report import table
        from trainers.recipes import load_recipe, with_paths
        from trainers.training import prior_file

        if self.pictures is not None and self.pictures.suffix.lower() != ".png":
            raise ValueError(f"--pictures {self.pictures} must end in .png")
        recipe = load_recipe(self.recipe, with_paths(self.set, self.data, self.autoencoder))
        folder = self.cache or default_folder(recipe, self.runs)
        cache, held_out = (open_cache(folder, split, recipe) for split in ("train", "val"))
        fitted = fit_prior(recipe, cache, held_out, say=say)
        path = self.out or prior_file(recipe, folder)
        fitted.save(path)
        found = dict(fitted.report) | {"file": str(path)}
        if self.pictures is not None:
            from trainers.priors.pictures import draw

            found["pictures"] = {"file": str(self.pictures), "rows": draw(fitted, recipe, cache, held_out, self.pictures)}
        if self.json:
            import json

            print(json.dumps(found, ensure_ascii=False))
        else:
            print(table(found))
