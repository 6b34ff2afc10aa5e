"""python -m trainers cache RECIPE"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

if TYPE_CHECKING:
    from trainers.recipes.schema import Recipe

SHOWN = 5  # broken pictures by name


@dataclass(frozen=True)
class Cache:
    """Encode a recipe's pictures once, and its captions where it is conditioned on text. The same command again goes on, checks and mends; a whole cache is left."""

    recipe: Annotated[str, tyro.conf.Positional]
    """Name of a recipe or a TOML file."""
    data: str | None = None
    """Folder or file of the pictures, in place of the recipe's data.path."""
    autoencoder: str | None = None
    """Folder, file or hub name, in place of the recipe's autoencoder.path."""
    cache: Path | None = None
    """Folder to make. Unless given: RUNS/cache/NAME, where training looks for it; NAME tells of reader, folder of pictures, size and autoencoder."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """KEY=VALUE, any value of the recipe."""
    runs: Path = Path("runs")
    """Where caches are kept."""
    fidelity: bool = False
    """Measure the Frechet floor too: the distance between held-out pictures and their round trips, in the recipe's features."""
    json: bool = False
    """Print one JSON object."""

    def go(self) -> None:
        from trainers.cli import say
        from trainers.latents import build_cache, default_folder

        recipe = self._recipe()
        folder = self.cache or default_folder(recipe, self.runs)
        build_cache(recipe, folder, say=say)
        found = self._report(recipe, folder)
        if self.json:
            import json

            print(json.dumps(found, ensure_ascii=False))
        else:
            print(table(found))

    def _recipe(self) -> "Recipe":
        from trainers.recipes import load_recipe, with_paths

        recipe = load_recipe(self.recipe, with_paths(self.set, self.data, self.autoencoder))
        if self.autoencoder is not None and recipe.autoencoder.kind == "none":
            raise ValueError(
                f"{recipe.name} trains on pixels, so --autoencoder {self.autoencoder} has no kind: add --set autoencoder.kind=kl (or vq, tiny, taef2)"
            )
        return recipe

    def _report(self, recipe: "Recipe", folder: Path) -> dict[str, Any]:
        from trainers.latents import open_cache
        from trainers.latents.fidelity import PICTURES, fidelity

        manifest = open_cache(folder, "train", recipe).manifest
        held_out = open_cache(folder, "val", recipe)
        splits = {
            name: {
                "split": split["split"],
                "pictures": split["count"],
                "listed": split["listed"],
                "broken": [each for shard in split["shards"] for each in shard["broken"]],
                "notes": split.get("notes", []),
            }
            for name, split in manifest["splits"].items()
        }
        found = {
            "folder": str(folder),
            "recipe": recipe.name,
            "autoencoder": {"kind": recipe.autoencoder.kind, "hash": manifest["made"]["autoencoder hash"]},
            "shape": manifest["shape"],
            "dtype": manifest["made"]["dtype"],
            "bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
            "splits": splits,
            "statistics": manifest["statistics"],
            "round_trip": None,
        }
        if recipe.autoencoder.kind == "none":
            return found
        features = None
        if self.fidelity:
            from trainers.features import load_features

            features = load_features(recipe.sampling.features, channels=recipe.data.channels, size=recipe.data.size)
        return found | {
            "round_trip": fidelity(recipe, held_out, count=recipe.sampling.count if self.fidelity else PICTURES, features=features)
        }


def table(found: dict[str, Any]) -> str:
    """A report in lines."""
    shape = " x ".join(str(n) for n in found["shape"])
    lines = [f"{found['folder']}: {found['bytes'] / 1e6:.1f} MB, {shape} as {found['dtype']}"]
    for name, split in found["splits"].items():
        listed = f" of {split['listed']:,}" if split["broken"] else ""
        lines.append(f"  {name:<12}{split['pictures']:,}{listed} pictures")
        lines += [f"{'':14}{each['name']}: {each['why']}" for each in split["broken"][:SHOWN]]
        more = len(split["broken"]) - SHOWN
        lines += [f"{'':14}and {more:,} more (--json names all)"] if more > 0 else []
    lines += [f"  note: {line}" for line in dict.fromkeys(line for split in found["splits"].values() for line in split["notes"])]
    mean, std = found["statistics"]["channel mean"], found["statistics"]["channel std"]
    lines.append(
        f"  {'channels':<12}mean {min(mean):.2f} to {max(mean):.2f}, deviation {min(std):.2f} to {max(std):.2f}, before normalisation"
    )
    trip = found["round_trip"]
    kind = "training" if found["splits"]["train"]["split"] == found["splits"]["val"]["split"] else "held-out"
    if trip is None:
        return "\n".join([*lines, f"  {'round trip':<12}exact: these are the pixels"])
    lines.append(
        f"  {'round trip':<12}{trip['psnr']:.1f} dB on average (5 to 95 %: {trip['psnr_5']:.1f} to {trip['psnr_95']:.1f}), {trip['pictures']} {kind} pictures"
    )
    if trip["frechet_floor"] is not None:
        lines.append(
            f"  {'Frechet':<12}{trip['frechet_floor']:.3f} between these pictures and their round trips, which samples decoded likewise start from"
        )
    return "\n".join(lines)
