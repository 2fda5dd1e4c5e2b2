"""Recipes kept by name: those that come with the program, and a folder of a person's own TOML files.

No widgets here; the menu that offers them is in :mod:`halidescope.gui.library_menu`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.recipes import AnyRecipe, Recipe, load_recipe, parse_recipe


@dataclass(frozen=True)
class Preset:
    """A recipe that comes with the program, and what it is for."""

    name: str
    purpose: str
    values: dict[str, Any]

    def recipe(self) -> AnyRecipe:
        """The recipe itself."""
        return parse_recipe(self.values, source=self.name)


# the paper's own protocol, and the other experiments that a session with such a film begins with
PRESETS: tuple[Preset, ...] = (
    Preset(
        "Exposure of 500 s at 120 µW", "how one spot changes under constant light (da Cunha et al. 2025, time series)",
        {"kind": "time-series", "sample_power_uw": 120.0, "exposure_s": 0.2, "interval_s": 0.5, "duration_s": 500.0},
    ),
    Preset(
        "Map of 200 × 200 µm at 5 µW", "a probe so weak that it changes little, in steps of 4 µm (ibid., maps)",
        {"kind": "raster-map", "sample_power_uw": 5.0, "exposure_s": 0.2, "step_um": 4.0, "size_um": (200.0, 200.0)},
    ),
    Preset(
        "Map, exposure, map", "the whole protocol: what 500 s of light in the middle do to the field around (ibid.)",
        {"kind": "exposure-and-maps", "sample_power_uw": 5.0, "exposure_power_uw": 120.0, "exposure_duration_s": 500.0},
    ),
    Preset(
        "Power series, 5 to 300 µW", "rates and final shares against power, a fresh spot for each",
        {"kind": "power-series", "powers_uw": (5.0, 15.0, 40.0, 120.0, 300.0), "duration_s": 200.0, "interval_s": 0.5},
    ),
    Preset(
        "Dark recovery of 2 h", "whether the film goes back in the dark, a look of 0.2 s every 5 min",
        {
            "kind": "dark-recovery", "sample_power_uw": 2.0, "duration_s": 7200.0, "interval_s": 300.0,
            "exposure_power_uw": 120.0, "exposure_duration_s": 500.0,
        },
    ),
)  # fmt: skip


class RecipeLibrary:
    """A folder of recipe files, named by their file's stem."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Names of the recipes kept, in alphabetical order."""
        return sorted(path.stem for path in self.folder.glob("*.toml")) if self.folder.is_dir() else []

    def path(self, name: str) -> Path:
        """Where a recipe of this name is kept; raises :class:`BadFileError` for a name that cannot be a file's."""
        if not name.strip() or any(letter in name for letter in '/\\:*?"<>|') or name.startswith("."):
            raise BadFileError(f"recipe name {name!r}: use letters, digits, spaces, '-' and '_', nothing else")
        return self.folder / f"{name.strip()}.toml"

    def load(self, name: str) -> AnyRecipe:
        """A kept recipe; raises :class:`BadFileError` with the reason if it cannot be used."""
        return load_recipe(self.path(name))

    def save(self, name: str, recipe: Recipe) -> Path:
        """Keep a recipe; one of the same name is replaced. Raises :class:`BadFileError` if it cannot be written."""
        path = self.path(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(recipe_toml(recipe), encoding="utf-8")
        except OSError as error:
            raise BadFileError(f"recipe {path}: cannot be written ({error.strerror}); choose another folder") from error
        return path

    def remove(self, name: str) -> str:
        """Forget a recipe; returns its text, so that it can be brought back with :meth:`restore`."""
        path = self.path(name)
        try:
            text = path.read_text(encoding="utf-8")
            path.unlink()
        except OSError as error:
            raise BadFileError(f"recipe {path}: cannot be removed ({error.strerror})") from error
        return text

    def restore(self, name: str, text: str) -> None:
        """Bring back what :meth:`remove` took away."""
        self.path(name).write_text(text, encoding="utf-8")


def recipe_toml(recipe: Recipe) -> str:
    """A recipe as the text of a recipe file."""
    return tomli_w.dumps(_plain(recipe.model_dump(exclude_none=True)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
