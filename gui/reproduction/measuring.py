"""The simulated measurements behind the reproduced numbers: real recipes, real files, instruments simulated on the
wire.

Powers lie above the simulated film's threshold (5 µW), so that rates are those of its Arrhenius law.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from halidescope.acquisition.microscope import MicroscopeFile, load_microscope
from halidescope.acquisition.problems import RefusedRunError, RunEndedError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.run import run_recipe
from halidescope.acquisition.states import Status
from halidescope.gui.simulated import SimulatorProcess

FILMS = (0.0, 1.0, 1.5, 2.0, 3.0)
GROWN = {1.0: 0.0, 1.5: 0.0, 2.0: 3.0}           # film → reference film of the phase that grows
LABELS = {0.0: "Br-rich", 3.0: "I-rich"}
PITCH_UM, ORIGIN_UM, FIELD_UM = 60.0, (40.0, 40.0), 40.0
RECOVERY_SPEED = 3.0                             # times faster than the rest: 2.5 h of mostly waiting
BRIGHT_S, PLAIN_S = 0.05, 0.2                    # exposures: hundreds of µW saturate the detector in the longer one


@dataclass(frozen=True)
class Plan:
    """What is measured; the tests measure less.

    ``powers_uw`` and ``duration_s`` by film; maps around the spots of ``map_film``.
    """

    speed: float = 60.0
    powers_uw: dict[float, tuple[float, ...]] = field(default_factory=lambda: {
        1.0: (30.0, 45.0, 60.0, 80.0), 1.5: (30.0, 60.0, 90.0, 120.0, 160.0),
        2.0: (60.0, 120.0, 200.0, 300.0, 400.0),
    })  # fmt: skip
    duration_s: dict[float, float] = field(default_factory=lambda: {1.0: 500.0, 1.5: 500.0, 2.0: 100.0})
    interval_s: dict[float, float] = field(default_factory=lambda: {1.0: 2.0, 1.5: 2.0, 2.0: 0.5})
    map_film: float = 1.5
    map_step_um: float = 2.0
    recovery_s: float = 9000.0
    segregation_s: float = 100.0


@dataclass
class Measured:
    """Files of everything that was measured, and what the simulated films say of themselves."""

    folder: Path
    films: dict[float, Path] = field(default_factory=dict)
    grown: dict[float, Path] = field(default_factory=dict)                     # reference film → file
    series: dict[float, dict[float, Path]] = field(default_factory=dict)       # film → power → file
    maps: dict[float, Path] = field(default_factory=dict)                      # power → file
    laws: dict[float, dict[float, dict[str, float]]] = field(default_factory=dict)
    irradiance: dict[float, Path] = field(default_factory=dict)                # power → a short series
    segregation: Path | None = None
    recovery: Path | None = None

    def references(self, film: float) -> list[Path]:
        """Endmembers of a film: its pristine spectrum, and the phase that grows."""
        return [self.films[film], self.grown[GROWN[film]]]


def measure_all(folder: Path, plan: Plan, say: Callable[[str], None], show: Callable[[Status], None]) -> Measured:
    """Measure everything into a folder that must be new or empty.

    Raises
    ------
    RefusedRunError
        The folder holds files.
    RunEndedError
        A measurement failed; what was measured stays.
    """
    folder = folder.absolute()      # recipes keep the paths of their references
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedRunError(f"folder {folder}: cannot be made ({error}); give another with --out") from error
    if any(folder.iterdir()):
        raise RefusedRunError(f"folder {folder}: is not empty; give another with --out")
    measured = Measured(folder)
    with SimulatorProcess(folder / "microscope.toml", speed=plan.speed, film=0.0) as simulator:
        microscope = load_microscope(folder / "microscope.toml")
        bench = _Bench(microscope, folder, show)
        for x in FILMS:
            say(f"film x = {x:g}: fresh spots under a weak probe")
            simulator.ask({"mount": x})
            measured.films[x] = bench.run(f"film-{x:g}.nxs", {
                "kind": "raster-map", "sample_power_uw": 1.0, "exposure_s": 2.0, "origin_um": (175.0, 5.0),
                "size_um": (20.0, 20.0), "step_um": 5.0, "sample": {"name": f"film x = {x:g}", "composition": x},
            })  # fmt: skip
            if x in LABELS:
                measured.grown[x] = bench.run(f"reference-{x:g}.nxs", {
                    "kind": "time-series", "sample_power_uw": 60.0, "duration_s": 12.0,
                    "sample": {"name": f"{LABELS[x]} reference film", "composition": x},
                })  # fmt: skip
        for power_uw in (10.0, 160.0):
            measured.irradiance[power_uw] = bench.run(f"irradiance-{power_uw:g}-uw.nxs", {
                "kind": "time-series", "sample_power_uw": power_uw, "duration_s": 6.0, "position_um": (5.0, 5.0),
            })  # fmt: skip
        for x, powers_uw in plan.powers_uw.items():
            simulator.ask({"mount": x})
            _power_series(bench, measured, x, powers_uw, plan, say)
            measured.laws[x] = {
                power: cast(dict[str, float], simulator.ask({"get": "film.law", "power_uw": power}))
                for power in powers_uw
            }
            if x == plan.map_film:
                _maps(bench, measured, x, plan, say)
    say(f"film x = 2: {plan.segregation_s:g} s at 300 µW, then {plan.recovery_s / 3600:.2g} h in the dark")
    _recovery(folder, measured, plan, show)
    return measured


class _Bench:
    """Runs recipes on one microscope into one folder."""

    def __init__(self, microscope: MicroscopeFile, folder: Path, show: Callable[[Status], None]) -> None:
        self.microscope, self.folder, self.show = microscope, folder, show

    def run(self, name: str, recipe: dict[str, object]) -> Path:
        """Measure; raises RunEndedError if it was not finished."""
        out = self.folder / name
        wanted = parse_recipe({"exposure_s": PLAIN_S, "dark_spectra": 30, **recipe})
        outcome = run_recipe(self.microscope, wanted, out, on_status=self.show)
        if not outcome.ok:
            raise RunEndedError(f"{name}: {outcome.status.state} ({outcome.status.reason}); files: {self.folder}")
        return out


def _power_series(
    bench: _Bench, measured: Measured, x: float, powers_uw: tuple[float, ...], plan: Plan, say: Callable[[str], None]
) -> None:
    listed = ", ".join(f"{power:g}" for power in powers_uw)
    say(f"film x = {x:g}: {plan.duration_s[x]:g} s at each of {listed} µW, a fresh spot each")
    out = bench.run(f"power-series-{x:g}.nxs", {
        "kind": "power-series", "powers_uw": powers_uw, "duration_s": plan.duration_s[x],
        "exposure_s": BRIGHT_S if max(powers_uw) > 200 else PLAIN_S,
        "interval_s": plan.interval_s[x], "pitch_um": PITCH_UM, "origin_um": ORIGIN_UM,
        "sample": {"name": f"film x = {x:g}", "composition": x},
        "analysis": {
            "references": [str(path) for path in measured.references(x)], "labels": ["pristine", LABELS[GROWN[x]]],
        },
    })  # fmt: skip
    if len(powers_uw) == 1:
        measured.series[x] = {powers_uw[0]: out}
        return
    measured.series[x] = {
        power: out.with_name(f"{out.stem}-{k}{out.suffix}") for k, power in enumerate(powers_uw, start=1)
    }


def _maps(bench: _Bench, measured: Measured, x: float, plan: Plan, say: Callable[[str], None]) -> None:
    """A field around every spot of the power series."""
    powers_uw = plan.powers_uw[x]
    columns = next(n for n in range(1, 100) if n * n >= len(powers_uw))
    for k, power_uw in enumerate(powers_uw):
        say(f"film x = {x:g}: map around the spot of {power_uw:g} µW")
        spot = (ORIGIN_UM[0] + (k % columns) * PITCH_UM, ORIGIN_UM[1] + (k // columns) * PITCH_UM)
        measured.maps[power_uw] = bench.run(f"map-{x:g}-{power_uw:g}-uw.nxs", {
            "kind": "raster-map", "sample_power_uw": 2.0, "exposure_s": 0.4, "step_um": plan.map_step_um,
            "origin_um": (spot[0] - FIELD_UM / 2, spot[1] - FIELD_UM / 2), "size_um": (FIELD_UM, FIELD_UM),
            "sample": {"name": f"film x = {x:g}", "composition": x},
            "analysis": {
                "references": [str(path) for path in measured.references(x)], "labels": ["pristine", LABELS[GROWN[x]]],
            },
        })  # fmt: skip


def _recovery(folder: Path, measured: Measured, plan: Plan, show: Callable[[Status], None]) -> None:
    file = folder / "microscope-recovery.toml"
    with SimulatorProcess(file, speed=RECOVERY_SPEED * plan.speed, film=2.0):
        bench = _Bench(load_microscope(file), folder, show)
        out = bench.run("recovery.nxs", {
            "kind": "sequence", "dark_spectra": 20, "sample": {"name": "film x = 2", "composition": 2.0},
            "analysis": {
                "references": [str(path) for path in measured.references(2.0)], "labels": ["pristine", LABELS[3.0]],
            },
            "recipes": [
                {"kind": "time-series", "sample_power_uw": 300.0, "duration_s": plan.segregation_s,
                 "exposure_s": BRIGHT_S, "interval_s": 1.0},
                # exposed once more, so that its clock starts when the light goes off, however late the first look is
                {"kind": "dark-recovery", "sample_power_uw": 2.0, "exposure_s": 1.0, "interval_s": 300.0,
                 "duration_s": plan.recovery_s, "dark_spectra": 10, "exposure_power_uw": 300.0,
                 "exposure_duration_s": plan.segregation_s},
            ],
        })  # fmt: skip
    measured.segregation = out.with_name(f"{out.stem}-1{out.suffix}")
    measured.recovery = out.with_name(f"{out.stem}-3{out.suffix}")       # 2: its exposure
