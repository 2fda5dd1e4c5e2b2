"""The paper's numbers, section after section, with what its formulas give and what the simulated measurements say.

Stated values and formulas are those of T. R. da Cunha et al., ACS Appl. Mater. Interfaces 2025, 17, 14389.
"""

from collections.abc import Iterator

import numpy as np

from halidescope.acquisition.results import Number
from halidescope.analysis import carriers, heat
from halidescope.analysis.arrhenius import BOLTZMANN_EV_K, EV_TO_KJ_MOL
from halidescope.analysis.composition import HC_EV_NM, RICHEST, band_gap, iodine_fraction, peak_energy
from halidescope.analysis.kmc.config import KmcConfig
from halidescope.analysis.kmc.run import KmcResult, run
from halidescope.gui.reproduction import benchtop
from halidescope.gui.reproduction.claims import Claim
from halidescope.gui.reproduction.evaluating import (
    Evaluated,
    average_rate,
    film_peak_ev,
    film_width_ev,
    iodine_at,
    yield_of,
)

PEAKS = {0.0: (513, 2.42), 1.0: (543, 2.28), 1.5: (590, 2.10), 2.0: (646, 1.92), 3.0: (690, 1.80)}     # nm, eV
EXCITONS = {0.0: (504, 2.46), 1.0: (539, 2.30), 1.5: (571, 2.17), 2.0: (622, 2.00), 3.0: (690, 1.84)}
ENERGIES = {1.0: (24, 3, 248, 30), 1.5: (21, 4, 217, 42), 2.0: (9, 1, 93, 10)}      # kJ/mol ±, meV ±
HOLDS_EV = 0.02             # of E_PL(x) for x ≤ 2
ROUNDED_EV = 0.006          # an energy printed with two digits, from a wavelength printed without
D0, E_D, E_D_SE = 5.3e-11, 0.182, 0.021
ROOM_K = 293.0
CHOICE = "the supplement is not public: the simulated film's own value is a choice of ours"
FEW_UM, FAR_UM = 1.5, 15.0  # from a spot: its middle; where the film is as made


def all_claims(found: Evaluated, simulation: KmcResult, inverted: KmcResult) -> list[Claim]:
    """Every number, in the paper's order."""
    return [
        *samples(found), *instrument(found), *yields(found), *activation(found), *diffusion(found), *composition(found),
        *shifts(found), *temperature(), *carrier_numbers(), *monte_carlo(simulation, inverted),
    ]  # fmt: skip


def samples(found: Evaluated) -> Iterator[Claim]:
    """Section 1: films."""
    section = "1 samples"
    for x, (_, analysis) in found.films.items():
        nm, ev = PEAKS[x]
        peak = film_peak_ev(analysis)
        yield Claim(
            section=section, quantity=f"PL peak, x = {x:g}", unit="eV", stated=ev, stated_words=f"{ev:.2f}",
            tolerance=ROUNDED_EV,
            formula=HC_EV_NM / nm, recovered=peak, truth=HC_EV_NM / nm, remark=f"formula: hc/λ of {nm} nm",
        )  # fmt: skip
        yield Claim(
            section=section, quantity=f"E_PL(x), x = {x:g}", unit="eV", stated=ev, stated_words=f"{ev:.2f}",
            tolerance=HOLDS_EV, formula=float(peak_energy(x)), remark="2.42 − 0.2 x² + 0.04 x³",
        )  # fmt: skip
    for k, (x, (nm, ev)) in enumerate(EXCITONS.items()):
        seen = benchtop.absorption_of(HC_EV_NM / nm, k)
        yield Claim(
            section=section, quantity=f"first exciton, x = {x:g}", unit="eV", stated=ev, stated_words=f"{ev:.2f}",
            tolerance=ROUNDED_EV,
            formula=HC_EV_NM / nm, recovered=seen.exciton_ev, truth=HC_EV_NM / nm,
            remark=f"formula: hc/λ of {nm} nm; recovered: second derivative of simulated absorption",
        )  # fmt: skip
    widths = [film_width_ev(analysis) for _, analysis in found.films.values()]
    for edge, chosen in (("narrowest", min(widths, key=_value)), ("widest", max(widths, key=_value))):
        yield Claim(
            section=section, quantity=f"PL line width (FWHM), {edge}", unit="meV", stated_words="40 … 80",
            recovered=chosen.scaled(1e3), truth=65.0 if edge == "narrowest" else 80.0,
        )  # fmt: skip
    mean, deviation = benchtop.edges_from_micrographs(1)
    yield Claim(
        section=section, quantity="crystal edge, CsPbBrI₂: mean", unit="nm", stated=benchtop.EDGE_NM, recovered=mean,
        truth=benchtop.EDGE_NM, remark=f"log-normal fit of {benchtop.MICROGRAPHS} simulated crystals",
    )  # fmt: skip
    yield Claim(
        section=section, quantity="crystal edge, CsPbBrI₂: standard deviation", unit="nm", stated=benchtop.EDGE_SD_NM,
        recovered=deviation, truth=benchtop.EDGE_SD_NM,
    )  # fmt: skip
    tau_ns = carriers.LIFETIME_S * 1e9
    yield Claim(
        section=section, quantity="PL lifetime τ", unit="ns", stated_words="in a supplement",
        recovered=benchtop.lifetime_from_decay(tau_ns, 5), truth=tau_ns, vague=True,
        remark="10 ns is the value that reproduces the stated carrier density",
    )  # fmt: skip


def instrument(found: Evaluated) -> Iterator[Claim]:
    """Section 2: irradiance."""
    for power_uw, stated in ((10.0, 6.37e2), (160.0, 1.02e4)):
        value = 2 * power_uw * 1e-6 / (np.pi * 1e-4**2)
        yield Claim(
            section="2 instrument", quantity=f"peak irradiance at {power_uw:g} µW", unit="W/cm²", stated=stated,
            stated_words=f"{stated:.0f}",
            tolerance=0.005 * stated, formula=value, recovered=found.irradiance.get(power_uw), truth=value,
            remark="2P/(π w0²), w0 = 1 µm; recovered: recorded dose over time",
        )  # fmt: skip


def yields(found: Evaluated) -> Iterator[Claim]:
    """Section 3.2: yields and average rates."""
    for x, by_power in found.series.items():
        power = max(by_power)
        scan, analysis = by_power[power]
        duration = float(scan.metadata["recipe"]["duration_s"])
        law = found.measured.laws[x][power]
        end = analysis.result.phi_time_s      # type: ignore[union-attr]
        name = "φ_PS" if x == 2 else "φ_PR"
        yield Claim(
            section="3.2 kinetics", quantity=f"{name}, x = {x:g}, {power:g} µW, {duration:g} s", unit="%",
            stated_words="saturates near 70", recovered=yield_of(analysis).scaled(100.0),
            truth=100 * _converted(law, end), remark=CHOICE,
        )  # fmt: skip
        yield Claim(
            section="3.2 kinetics", quantity=f"⟨k⟩, x = {x:g}, {power:g} µW", unit="s⁻¹",
            recovered=average_rate(analysis), truth=law["average_rate_per_s"],
            remark=f"(k₀₁k₁ + k₀₂k₂)/(k₀₁ + k₀₂); {CHOICE}",
        )  # fmt: skip


def activation(found: Evaluated) -> Iterator[Claim]:
    """Section 3.3: activation energies."""
    for x, (kj, kj_se, mev, mev_se) in ENERGIES.items():
        fit = found.rates.get(x)
        yield Claim(
            section="3.3 Arrhenius", quantity=f"Eₐ of ⟨k⟩, x = {x:g}", unit="meV", stated=mev, stated_se=mev_se,
            tolerance=mev_se, formula=1e3 * kj / EV_TO_KJ_MOL,
            recovered=None if fit is None else Number(
                1e3 * fit.activation_energy_ev, 1e3 * fit.activation_energy_ev_se
            ),
            truth=float(mev), remark=f"formula: {kj} ± {kj_se} kJ/mol; T from the simulated film",
        )  # fmt: skip


def diffusion(found: Evaluated) -> Iterator[Claim]:
    """Section 3.4: diffusion."""
    section, fit = "3.4 diffusion", found.diffusion
    yield Claim(
        section=section, quantity="E_D of D(T)", unit="meV", stated=1e3 * E_D, stated_se=1e3 * E_D_SE,
        recovered=None if fit is None else Number(1e3 * fit.activation_energy_ev, 1e3 * fit.activation_energy_ev_se),
        truth=1e3 * E_D, remark="from halo radii and ⟨k⟩ at several powers, D = r²⟨k⟩/4",
    )  # fmt: skip
    yield Claim(
        section=section, quantity="D₀", unit="m²/s", stated=D0, stated_words="5.3 × 10⁻¹¹",
        recovered=None if fit is None else Number(fit.prefactor, fit.prefactor_se), truth=D0,
        remark="the error is that of ln D₀",
    )  # fmt: skip
    at_room = D0 * np.exp(-E_D / (BOLTZMANN_EV_K * ROOM_K))
    recovered = None
    if fit is not None:
        value = float(fit.evaluate(ROOM_K))
        recovered = Number(value, value * float(fit.relative_se(ROOM_K)))
    for stated, words, where in ((6.3e-14, "6.3 × 10⁻¹⁴", ""), (6.2e-14, "6.2 × 10⁻¹⁴", ", elsewhere")):
        yield Claim(
            section=section, quantity=f"D at 293 K{where}", unit="m²/s", stated=stated, stated_words=words,
            tolerance=0.05e-14, formula=float(at_room), recovered=recovered, truth=float(at_room),
            remark="D₀ exp(−E_D/k_BT); the difference is inside the error of E_D, ±21 meV being a factor of 2.3",
        )  # fmt: skip


def composition(found: Evaluated) -> Iterator[Claim]:
    """Section 3.5: iodine-fraction map."""
    if not found.maps:
        return
    scan, analysis = found.maps[max(found.maps)]
    film = float(scan.metadata["recipe"]["sample"]["composition"])
    for words, stated, near, far, nm in (
        ("in the halo's centre", 0.0, 0.0, FEW_UM, 513.0), ("at the map's border", film, FAR_UM, 1e3, PEAKS[film][0]),
    ):  # fmt: skip
        energy = min(HC_EV_NM / nm, float(peak_energy(0.0)))
        yield Claim(
            section="3.5 composition", quantity=f"x {words}", stated=stated,
            recovered=iodine_at(scan, analysis, near, far), truth=float(iodine_fraction(energy)),
            remark="peak energy through E_PL(x); truth: that of the film's band",
        )  # fmt: skip
    yield Claim(
        section="3.5 composition", quantity=f"x of {HC_EV_NM / PEAKS[RICHEST][0]:.2f} eV (iodide film)", stated=RICHEST,
        tolerance=0.1, formula=float(iodine_fraction(HC_EV_NM / PEAKS[RICHEST][0])),
        remark="E_PL(3) is 1.70 eV, the film shows 1.80 eV: x near 3 is underestimated",
    )  # fmt: skip


def shifts(found: Evaluated) -> Iterator[Claim]:
    """Section 3.6: peak shifts of segregation and recovery."""
    section, light, dark = "3.6 peak shift", found.light_track, found.dark_track
    recovered = back = None
    if light is not None and dark is not None:
        time, peak, error = (np.asarray(v, dtype=float) for v in (light.time_s, light.peak_nm, light.peak_nm_se))
        at = int(np.argmin(np.abs(time - 50.0)))
        recovered = Number(float(peak[at] - peak[0]), float(np.hypot(error[at], error[0])))
        returned, returned_se = (np.asarray(v, dtype=float) for v in (dark.peak_nm, dark.peak_nm_se))
        back = Number(float(returned[-1] - peak[-1]), float(np.hypot(returned_se[-1], error[-1])))
    yield Claim(
        section=section, quantity="Δλ after 50 s at 300 µW, x = 2", unit="nm", stated_words="+38 … 40", stated=39.0,
        tolerance=1.5, formula=688.0 - 646.0, recovered=recovered, truth=688.0 - 646.0,
        remark="formula: 688 − 646 nm, from the film's peak; the table's 650 → 688 nm is 38 nm; recovered: the band "
        "that dominates, which overlaps with the other",
    )  # fmt: skip
    yield Claim(
        section=section, quantity="Δλ after 9000 s in the dark", unit="nm", stated=-38.0, tolerance=0.5,
        formula=650.0 - 688.0, recovered=back, truth=646.0 - 688.0,
        remark="formula: the table's 650 nm at the start; recovered: last look less the end of the light; the "
        "simulated film returns with 1/2500 s⁻¹, to the 646 nm of its peak",
    )  # fmt: skip


def temperature() -> Iterator[Claim]:
    """Section 3.7: laser-induced temperature."""
    closed = float(heat.half_space_rise(50e-6, 1e-6))
    rise = heat.temperature_rise(50e-6, 1e-6)
    yield Claim(
        section="3.7 temperature", quantity="centre rise A₀ at 50 µW", unit="K", formula=closed,
        recovered=Number(rise.centre_k, rise.centre_k_se), stated_words="in a supplement", vague=True,
        remark="formula: half space of glass, P_abs/(√(2π) κ w), 24 % absorbed; recovered: Fourier's law, film on "
        "glass under air, the error being the grid's; the simulated film's 0.6 K/µW is a choice of ours",
    )  # fmt: skip


def carrier_numbers() -> Iterator[Claim]:
    """Section 3.8: carriers."""
    case = carriers.published_case()
    yield Claim(
        section="3.8 carriers", quantity="carrier density at 50 µW", unit="cm⁻³", stated=case.density_stated_per_cm3,
        stated_words="1.7 × 10¹⁸", tolerance=0.05e18, formula=case.density_per_cm3,
        remark="with τ = 10 ns and 1 − T405 = 0.24",
    )  # fmt: skip
    yield Claim(
        section="3.8 carriers", quantity="time to 90 % of it", unit="ns", stated_words="within 20",
        formula=1e9 * case.rise_time_90_s,
    )  # fmt: skip
    yield Claim(
        section="3.8 carriers", quantity="diffusion length L_D", unit="nm", stated=case.length_stated_nm,
        tolerance=0.05, formula=case.length_nm,
        remark=f"no lifetime from 2 to 20 ns gives less than {case.shortest_length_nm:.0f} nm",
    )  # fmt: skip


def monte_carlo(simulation: KmcResult, inverted: KmcResult) -> Iterator[Claim]:
    """Section 4: kinetic Monte Carlo."""
    section, gaps = "4 Monte Carlo", simulation.band_gap_ev
    lattice = simulation.config.lattice
    yield Claim(
        section=section, quantity="E_g at the start", unit="eV", stated=2.27, tolerance=0.005,
        formula=float(band_gap(lattice.iodide + lattice.vacancy)), recovered=_mean(gaps[:, 0]),
        truth=float(band_gap(lattice.iodide + lattice.vacancy)), remark="2.46 − 1.78 x² + 1.16 x³ at x = 0.36",
    )  # fmt: skip
    yield Claim(
        section=section, quantity="E_g after 500 steps", unit="eV", stated=2.45, recovered=_mean(gaps[:, -1]),
        vague=True,
        remark="A, α, A0 and B are not given; A = 0.3, α = 0.01 /K, A0 = 150 K, B = 0.02 per step are choices of ours",
    )  # fmt: skip
    turned = inverted.band_gap_ev
    yield Claim(
        section=section, quantity="change of E_g where E_I > E_Br", unit="eV", stated_words="nothing happens",
        formula=0.0, recovered=_mean(turned[:, -1] - turned[:, 0]), truth=0.0,
        remark="barriers exchanged; to be held against the rise of 0.16 eV with the paper's barriers",
    )  # fmt: skip


def simulations(replicas: int) -> tuple[KmcResult, KmcResult]:
    """The paper's simulation, and the one with the barriers exchanged."""
    config = KmcConfig.from_mapping({"run": {"scheme": "paper", "replicas": replicas, "seed": 1}})
    exchanged = config.replace(
        barriers__bromide_ev=config.barriers.iodide_ev, barriers__iodide_ev=config.barriers.bromide_ev
    )
    return run(config), run(exchanged)


def _mean(values: np.ndarray) -> Number:
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return Number(float(np.mean(values)), error)


def _value(number: Number) -> float:
    return number.value


def _converted(law: dict[str, float], time_s: float) -> float:
    """Share that the simulated film has converted under constant light."""
    fast = law["f1"]
    return 1.0 - fast * np.exp(-law["k1_per_s"] * time_s) - (1.0 - fast) * np.exp(-law["k2_per_s"] * time_s)
