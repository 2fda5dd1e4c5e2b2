"""What is written down of a measurement before its first spectrum."""

from datetime import datetime
from importlib.metadata import version
from platform import python_version

import h5py
import numpy as np

from halidescope.acquisition.description import details_of
from halidescope.acquisition.instruments import Instruments
from halidescope.acquisition.microscope import MicroscopeFile
from halidescope.acquisition.plan import Plan
from halidescope.acquisition.recipes import AdaptiveMap, RasterMap, SingleRecipe
from halidescope.acquisition.records import Header


def make_header(
    recipe: SingleRecipe, plan: Plan, microscope: MicroscopeFile, instruments: Instruments, *,
    wavelength_nm: np.ndarray, count_type: np.dtype, started_at: datetime,
) -> Header:
    """The header of a measurement that begins; ``wavelength_nm`` in the detector's own pixel order."""
    axes = {"time": [point.due_s or 0.0 for point in plan.points]}
    if isinstance(recipe, RasterMap):
        axes = {"y": recipe.y_um.tolist(), "x": recipe.x_um.tolist()}
    elif isinstance(recipe, AdaptiveMap):
        axes = {"point": [float(point) for point in range(recipe.max_points)]}
    return Header(
        kind=recipe.kind, title=recipe.title, recipe=recipe.model_dump(mode="json"), plan_hash=plan.plan_hash,
        microscope=microscope.toml_text(), identities=instruments.identities(), axes=axes,
        wavelength_nm=wavelength_nm.tolist(), count_type=count_type.newbyteorder("<").str,
        calibration={
            "laser_wavelength_nm": instruments.laser.wavelength_nm, "waist_um": microscope.optics.waist_um,
            "sample_uw_per_head_mw": microscope.laser.sample_uw_per_head_mw,
            "saturation_counts": float(instruments.spectrometer.saturation_counts),
        },
        versions={
            "halidescope": version("halidescope"), "python": python_version(), "numpy": np.__version__,
            "h5py": h5py.__version__,
        },
        started_at=started_at.isoformat(), simulated=microscope.simulated, speed=microscope.speed,
        details=details_of(recipe, microscope),
    )
