"""The analysis file: how saved scans are analysed. Every key has a default, so that no file is a file of defaults.

Only what is asked for is here; doing it is in :mod:`halidescope.acquisition.batch`. The keys are described in
``docs/analysis.md``.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from halidescope.acquisition.microscope import Table
from halidescope.acquisition.toml_files import checked, parse_toml, read_toml

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


class ReferencesTable(Table):
    """Where the endmembers come from; the phase that grows is the last."""

    files: tuple[str, ...] = Field((), max_length=6, description="measured files, one for each endmember")
    labels: tuple[str, ...] = Field((), max_length=6, description="names of the endmembers, in the same order")
    library: dict[str, str] = Field(
        default_factory=dict, description="composition x, as text, → measured file of a film of that composition"
    )
    compositions: tuple[float, ...] = Field(
        (), max_length=6,
        description="take endmembers of these x from the library, or model bands at E_PL(x) if there is no library",
    )
    extract: int = Field(0, ge=0, le=6, description="find this many endmembers in the scan itself, 0: none")
    method: Literal["nmf", "vertex"] = Field("nmf", description="how they are found")
    relative_yields: tuple[Positive, ...] = Field(
        (), description="luminescence yield of each endmember on any common scale: shares weighted by 1/yield besides"
    )
    relative_yields_se: tuple[NotNegative, ...] = Field((), description="their standard errors")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        named = [name for name in ("files", "compositions", "extract") if getattr(self, name)]
        if len(named) > 1:
            raise ValueError(f"endmembers come from one place, not from {' and '.join(named)}")
        count = len(self.files) or len(self.compositions) or self.extract
        for name in ("labels", "relative_yields"):
            if (given := len(getattr(self, name))) and count and given != count:
                raise ValueError(f"{given} {name} for {count} endmembers; give one for each")
        if self.relative_yields_se and len(self.relative_yields_se) != len(self.relative_yields):
            raise ValueError("relative_yields_se needs one error for each of relative_yields")
        return self


class CorrectionsTable(Table):
    """The detector and the light path, where the scan's own file does not say it or should be overruled."""

    medium: Literal["air", "vacuum"] = Field("air", description="in which the wavelengths are given")
    dark_counts: float | None = Field(None, description="dark level, for scans without dark spectra; default 0")
    electrons_per_count: Positive | None = Field(None, description="photoelectrons per count")
    read_noise_counts: NotNegative | None = Field(None, description="standard deviation of one dark spectrum, counts")
    saturation_counts: Positive | None = Field(None, description="count from which a channel is left out")
    cosmic_rays: Literal["report", "replace", "ignore"] = Field(
        "report", description="report hits; replace them by the level beside as well; or do not look for them"
    )
    linearity: tuple[float, ...] = Field(
        (), max_length=10, description="c0, c1, …: dark-corrected counts s are divided by c0 + c1 s + …"
    )
    linearity_valid_to: Positive | None = Field(None, description="highest count for which that was measured")
    normalise: tuple[Literal["exposure", "power"], ...] = Field(
        (), description="what emission is divided by: results in counts per s, per µW, or both"
    )
    exposure_s: Positive | None = Field(None, description="of every spectrum, for files that do not say it")
    sample_power_uw: Positive | None = Field(None, description="at the sample, for files that do not say it")
    response: str = Field("", description="CSV of two columns, wavelength in nm and relative efficiency")


class UnmixingTable(Table):
    """The linear model."""

    shift: bool = Field(False, description="let every endmember shift a little in energy")
    broadening: bool = Field(False, description="let every endmember broaden a little")
    whiteness: bool = Field(True, description="test whether the residuals are noise")


class PeaksTable(Table):
    """Peak energies and the iodine content that they mean."""

    model: Literal["gaussian", "bigaussian", "emg", "voigt", "two-gaussians"] = "gaussian"
    between_nm: tuple[Positive, Positive] = Field((470.0, 760.0), description="where the emission is looked for, nm")
    skip: bool = Field(False, description="fit no peaks")

    @model_validator(mode="after")
    def _rising(self) -> Self:
        low, high = self.between_nm
        if not low < high:
            raise ValueError(f"between_nm = [{low:g}, {high:g}] must rise")
        return self


class KineticsTable(Table):
    """Time series."""

    phi_time_s: Positive | None = Field(None, description="when the yield is read off the fit; default: the last time")


class MapTable(Table):
    """Maps after an exposure."""

    diffusion_time_s: Positive | None = Field(
        None, description="t of the diffusion profile, 1/<k> or τ; without it radii are given and no D"
    )
    radial_step_um: Positive | None = Field(None, description="width of the rings of radial means; default: the step")


class AnalysisFile(Table):
    """All of an analysis file."""

    references: ReferencesTable = ReferencesTable()
    corrections: CorrectionsTable = CorrectionsTable()
    unmixing: UnmixingTable = UnmixingTable()
    peaks: PeaksTable = PeaksTable()
    kinetics: KineticsTable = KineticsTable()
    map: MapTable = MapTable()


def parse_analysis(text: str, *, source: str = "analysis file") -> AnalysisFile:
    """An analysis file from its text; raises :class:`BadFileError` with one sentence."""
    return checked(AnalysisFile, parse_toml(text, source), source)


def load_analysis(path: Path) -> AnalysisFile:
    """Read an analysis file (TOML); files that it names are relative to it.

    Raises
    ------
    BadFileError
        The file is missing, is not TOML, or holds an unknown or impossible value.
    """
    values = read_toml(path, "analysis file")
    return anchored(checked(AnalysisFile, values, f"analysis file {path}"), path.absolute().parent)


def anchored(settings: AnalysisFile, folder: Path) -> AnalysisFile:
    """The same with absolute paths, so that it means the same to a worker that stands elsewhere."""
    refer, correct = settings.references, settings.corrections
    return settings.model_copy(update={
        "references": refer.model_copy(update={
            "files": tuple(str(folder / name) for name in refer.files),
            "library": {x: str(folder / name) for x, name in refer.library.items()},
        }),
        "corrections": correct.model_copy(update={
            "response": str(folder / correct.response) if correct.response else ""
        }),
    })  # fmt: skip
