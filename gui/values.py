"""Numbers as a person reads them: value ± error with unit, powers, irradiances, doses, times left.

Only words are made here; nothing is measured and nothing painted.
"""

from halidescope.acquisition.results import Number

NO_BREAK = "\N{NO-BREAK SPACE}"      # between parts that belong on one line
UNITS = {
    "uw": "µW", "um": "µm", "s": "s", "nm": "nm", "ev": "eV", "mw": "mW", "k": "K", "ms": "ms", "per_s": "1/s",
    "c": "°C", "percent": "%",
}  # fmt: skip
COMPOUND_UNITS = {
    "counts_per_s_uw": "counts/(s µW)", "counts_per_s": "counts/s", "counts_per_uw": "counts/µW", "j_cm2": "J/cm²",
    "w_cm2": "W/cm²", "per_s": "1/s",
}  # fmt: skip


def field_words(name: str) -> tuple[str, str]:
    """A field's name as label and unit: ``sample_power_uw`` → ("sample power", "µW")."""
    for suffix, unit in COMPOUND_UNITS.items():
        if name.endswith(f"_{suffix}"):
            return name.removesuffix(f"_{suffix}").replace("_", " "), unit
    stem, _, suffix = name.rpartition("_")
    if stem and suffix in UNITS:
        return stem.replace("_", " "), UNITS[suffix]
    return name.replace("_", " "), ""


def plus_minus(number: Number, unit: str = "") -> str:
    """Value ± standard error, or its interval, by the house's one rule for rounding: ``0.680 ± 0.011``."""
    return number.words(unit)


def irradiance(w_cm2: float) -> str:
    """Irradiance in W/cm², kW/cm² or MW/cm², three digits."""
    return scaled(w_cm2, "W/cm²")


def dose(j_cm2: float) -> str:
    """Dose in J/cm², kJ/cm² or MJ/cm², three digits."""
    return scaled(j_cm2, "J/cm²")


def scaled(value: float, unit: str) -> str:
    """Three digits and the prefix that keeps them short."""
    for limit, factor, prefix in ((1e6, 1e-6, "M"), (1e3, 1e-3, "k"), (1e-3, 1.0, ""), (1e-6, 1e3, "m")):
        if abs(value) >= limit:
            short = value * factor
            return f"{short:.0f} {prefix}{unit}" if abs(short) >= 999.5 else f"{short:.3g} {prefix}{unit}"
    return f"0 {unit}" if value == 0 else f"{value:.2e} {unit}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: ``3:12``, ``1:02:03``; below ten seconds ``4.2 s``."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: float) -> str:
    """Bytes as kB, MB or GB."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.3g} {unit}"
    return f"{count:.0f} bytes"
