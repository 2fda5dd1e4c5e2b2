"""The microscope file: which instruments, where they are found, and what lies between laser head and sample.

Only the file and the arithmetic of the beam are here; connecting is in :mod:`halidescope.acquisition.instruments`.
"""

import json
import math
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from halidescope.acquisition.faults import FaultsTable
from halidescope.acquisition.toml_files import checked, parse_toml, read_toml

_DAY = r"^(\d{4}-\d{2}-\d{2})?$"


class Table(BaseModel):
    """A table of the file: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InstrumentTable(Table):
    """An instrument: which, where, and what its driver must be told."""

    model: str = Field(description="model name, see `halidescope devices`")
    resource: str = Field(description="VISA resource, as TCPIP::host::port::SOCKET or ASRL/dev/ttyACM0::INSTR")
    settings: dict[str, bool | int | float | str | dict[str, int]] = Field(
        default_factory=dict, description="settings of the driver, see the model's page in docs/drivers"
    )


class LaserTable(InstrumentTable):
    """The laser head and the way of its light to the sample."""

    sample_uw_per_head_mw: float = Field(gt=0, description="path transmission: µW at the sample per mW of the head")
    max_sample_uw: float = Field(gt=0, description="highest power ever allowed at the sample, µW")
    power_drift_note: float = Field(
        0.05, gt=0, le=1, description="share by which the head's power meter may deviate before it is noted as an event"
    )
    power_drift_stop: float = Field(
        0.2, gt=0, le=1, description="share by which it may deviate before the measurement is stopped, dark"
    )


class StageTable(InstrumentTable):
    """The scanning stage."""


class SpectrometerTable(InstrumentTable):
    """The spectrometer."""

    electrons_per_count: float = Field(
        1.0, gt=0, description="photoelectrons per count, from the data sheet or a photon-transfer curve"
    )


class OpticsTable(Table):
    """The focus at the film."""

    waist_um: float = Field(1.0, gt=0, description="1/e² radius of the beam at the film, µm")
    objective: str = Field("", description="name of the objective, as engraved")
    magnification: float | None = Field(None, gt=0, description="of the objective")
    numerical_aperture: float | None = Field(None, gt=0, le=1.7, description="of the objective")
    filters: tuple[str, ...] = Field((), description="filters in the beam and before the spectrometer")


class CalibrationTable(Table):
    """When what was calibrated last, as YYYY-MM-DD."""

    wavelength_on: str = Field("", pattern=_DAY, description="wavelengths of the spectrometer")
    power_on: str = Field("", pattern=_DAY, description="path transmission, with a power meter under the objective")
    intensity_on: str = Field("", pattern=_DAY, description="spectral response, with a lamp")
    waist_on: str = Field("", pattern=_DAY, description="radius of the beam")


class AboutTable(Table):
    """For people, in every file that this microscope measures."""

    operator: str = Field("", description="who measures, unless the recipe says")
    laboratory: str = Field("", description="where the microscope stands")
    extra: dict[str, str | int | float | bool] = Field(default_factory=dict, description="anything else")


class SimulationTable(Table):
    """Only in files of simulated microscopes."""

    speed: float = Field(1.0, gt=0, description="microscope seconds per second")


class MicroscopeFile(Table):
    """All of ``microscope.toml``."""

    laser: LaserTable
    stage: StageTable
    spectrometer: SpectrometerTable
    optics: OpticsTable = OpticsTable()
    calibration: CalibrationTable = CalibrationTable()
    about: AboutTable = AboutTable()
    faults: FaultsTable = FaultsTable()
    simulation: SimulationTable | None = None

    @property
    def simulated(self) -> bool:
        """True if nothing of this microscope exists."""
        return self.simulation is not None

    @property
    def speed(self) -> float:
        """Microscope seconds per second; 1 for real instruments."""
        return self.simulation.speed if self.simulation else 1.0

    def head_mw(self, sample_uw: float) -> float:
        """Head power in mW that gives ``sample_uw`` µW at the sample."""
        return sample_uw / self.laser.sample_uw_per_head_mw

    def sample_uw(self, head_mw: float) -> float:
        """Power at the sample in µW for a head power in mW."""
        return head_mw * self.laser.sample_uw_per_head_mw

    def peak_irradiance_w_cm2(self, sample_uw: float) -> float:
        """Peak irradiance of the Gaussian focus in W/cm²: ``2 P / (π w0²)`` (da Cunha et al. 2025, experimental)."""
        waist_cm = self.optics.waist_um * 1e-4
        return 2.0 * sample_uw * 1e-6 / (math.pi * waist_cm**2)

    def toml_text(self) -> str:
        """This file as TOML, every value written out."""
        return "\n".join(_toml_lines("", self.model_dump(exclude_none=True))) + "\n"


def _toml_lines(name: str, table: dict[str, Any]) -> list[str]:
    """A table's own values, then the tables in it."""
    lines = [f"[{name}]"] if name else []
    lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items() if not _table(value)]
    for key, value in table.items():
        if _table(value) and value:
            lines += _toml_lines(f"{name}.{key}" if name else key, value)
    return lines


def _table(value: object) -> bool:
    return isinstance(value, dict)


def parse_microscope(text: str, *, source: str = "microscope file") -> MicroscopeFile:
    """A microscope file from its text; raises :class:`BadFileError` with one sentence."""
    return checked(MicroscopeFile, parse_toml(text, source), source)


def load_microscope(path: Path) -> MicroscopeFile:
    """Read a microscope file (TOML).

    Raises
    ------
    BadFileError
        The file is missing, is not TOML, or holds an unknown or impossible value.
    """
    return checked(MicroscopeFile, read_toml(path, "microscope file"), f"microscope file {path}")
