"""What a simulation is asked to be: validated, frozen, every default the paper's.

A configuration comes from a mapping of tables (a TOML file, already read) or from Python; it knows nothing of lattices
in memory or of files. The tables mirror ``halidescope kmc CONFIG.toml``.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

LARGEST = 1024                  # edge of the lattice: ten bits for a coordinate


def _limits(low: float, high: float, *, open_low: bool = False) -> dict[str, tuple[float, float, bool]]:
    return {"limits": (low, high, open_low)}


@dataclass(frozen=True)
class Lattice:
    """``[lattice]``: edge length in sites, and the shares of the species (their sum is 1)."""

    size: int = field(default=20, metadata=_limits(2, LARGEST))
    bromide: float = field(default=0.64, metadata=_limits(0, 1))
    iodide: float = field(default=0.352, metadata=_limits(0, 1))
    vacancy: float = field(default=0.008, metadata=_limits(0, 1))


@dataclass(frozen=True)
class Barriers:
    """``[barriers]``: activation energies of a hop into a vacancy, eV, and the attempt rate, 1/s."""

    bromide_ev: float = field(default=0.21, metadata=_limits(0, 5))
    iodide_ev: float = field(default=0.10, metadata=_limits(0, 5))
    prefactor_hz: float = field(default=1e12, metadata=_limits(0, 1e20, open_low=True))


@dataclass(frozen=True)
class Temperature:
    """``[temperature]``: ``T0 + A0 (1 − exp(−B t)) exp(−2 r²/w0²)``, w0 = waist_fraction · size.

    ``heating_rate`` is B, per step in the paper's scheme and per second on the exact clock. Left out it is 0.02 per
    step there, and on the exact clock the film is at its final temperature from the start.
    """

    ambient_k: float = field(default=300.0, metadata=_limits(1, 5000))
    amplitude_k: float = field(default=150.0, metadata=_limits(0, 5000))
    heating_rate: float | None = field(default=None, metadata=_limits(0, math.inf, open_low=True))
    waist_fraction: float = field(default=0.1, metadata=_limits(0, 100, open_low=True))


@dataclass(frozen=True)
class Escape:
    """``[escape]``: an iodide that could hop leaves the film with probability ``A [1 − exp(−α (T − T0))]``."""

    probability: float = field(default=0.3, metadata=_limits(0, 1))
    alpha_per_k: float = field(default=0.01, metadata=_limits(0, 10))


@dataclass(frozen=True)
class Reading:
    """``[reading]``: how the places are read where the paper's text leaves a choice. Recorded with every result.

    temperature_at : where a hop's temperature is taken, at the vacancy or at the ion (both schemes).
    acceptance : P of the paper's scheme as written ("literal"), or relative to its mean over the lattice, at most 1.
    escape : whether the chosen iodide can leave the film (both schemes).
    composition : whether vacancies count as iodide in x, as the paper writes, or are left out.
    """

    temperature_at: Literal["vacancy", "ion"] = "vacancy"
    acceptance: Literal["normalised", "literal"] = "normalised"
    escape: Literal["chosen", "none"] = "chosen"
    composition: Literal["with-vacancies", "without-vacancies"] = "with-vacancies"


@dataclass(frozen=True)
class Run:
    """``[run]``: which scheme, how long, how often, and from which seed.

    The exact clock runs to ``events`` or ``time_s`` (whichever comes first; 1,000,000 events if neither is given), the
    paper's scheme makes ``steps`` (500). ``frames`` pictures of the first replica are kept besides start and end.
    """

    scheme: Literal["paper", "exact"] = "paper"
    events: int | None = field(default=None, metadata=_limits(1, 2**62))
    steps: int | None = field(default=None, metadata=_limits(1, 10**7))
    time_s: float | None = field(default=None, metadata=_limits(0, 1e9, open_low=True))
    replicas: int = field(default=1, metadata=_limits(1, 100_000))
    seed: int = field(default=1, metadata=_limits(0, 2**63))
    tracer: bool = False
    frames: int = field(default=0, metadata=_limits(0, 1000))


@dataclass(frozen=True)
class Sweep:
    """``[sweep]``: run once per value of a key of another table, named ``table.key``."""

    key: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class KmcConfig:
    """A kinetic Monte Carlo simulation of halide migration."""

    lattice: Lattice = Lattice()
    barriers: Barriers = Barriers()
    temperature: Temperature = Temperature()
    escape: Escape = Escape()
    reading: Reading = Reading()
    run: Run = Run()

    def __post_init__(self) -> None:
        for table in dataclasses.fields(self):
            _check_table(table.name, getattr(self, table.name))
        shares = self.lattice.bromide + self.lattice.iodide + self.lattice.vacancy
        if abs(shares - 1) > 1e-6:
            raise ValueError(f"lattice: bromide + iodide + vacancy = {shares:.6g}; the shares must add up to 1")
        run = self.run
        if run.scheme == "exact" and run.steps is not None:
            raise ValueError("run.steps belongs to scheme = \"paper\"; give the exact clock events or time_s")
        if run.scheme == "paper" and (run.events is not None or run.time_s is not None):
            raise ValueError("run.events and run.time_s belong to scheme = \"exact\"; give the paper's scheme steps")
        if run.scheme == "paper" and run.tracer:
            raise ValueError("run.tracer needs scheme = \"exact\": the paper's scheme has no physical jump sequence")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "KmcConfig":
        """Build a configuration from tables of keys.

        Raises
        ------
        ValueError
            One sentence: the table and key, the value given, what is allowed. Unknown tables and keys are errors.
        """
        known = {table.name: table.type for table in dataclasses.fields(cls)}
        tables: dict[str, Any] = {}
        for name, content in values.items():
            if name not in known:
                raise ValueError(f"unknown table '{name}'; there are {', '.join(known)}")
            if not isinstance(content, Mapping):
                raise ValueError(f"'{name}' = {content!r}: must be a table of keys, [{name}]")
            kind: Any = known[name]
            keys = [f.name for f in dataclasses.fields(kind)]
            for key in content:
                if key not in keys:
                    raise ValueError(f"unknown key '{name}.{key}'; [{name}] has {', '.join(keys)}")
            tables[name] = kind(**content)
        return cls(**tables)

    def to_mapping(self) -> dict[str, dict[str, Any]]:
        """Return all tables and keys that have a value; :meth:`from_mapping` gives the same configuration back."""
        tables = dataclasses.asdict(self)
        return {name: {k: v for k, v in keys.items() if v is not None} for name, keys in tables.items()}

    def replace(self, **values: Any) -> "KmcConfig":
        """Return a copy with some keys changed, named ``table__key``: ``config.replace(barriers__iodide_ev=0.12)``."""
        changes: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            table, separator, key = name.partition("__")
            if not separator or table not in (f.name for f in dataclasses.fields(self)):
                raise ValueError(f"'{name}': name a key as table__key, for example barriers__iodide_ev")
            known = [f.name for f in dataclasses.fields(getattr(self, table))]
            if key not in known:
                raise ValueError(f"unknown key '{table}.{key}'; [{table}] has {', '.join(known)}")
            changes.setdefault(table, {})[key] = value
        return dataclasses.replace(
            self, **{table: dataclasses.replace(getattr(self, table), **keys) for table, keys in changes.items()}
        )

    def of_composition(self, x: float) -> "KmcConfig":
        """The same with the halides of CsPbBr(3−x)I(x), 0 ≤ x ≤ 3; the share of vacancies stays."""
        if not 0 <= x <= 3:
            raise ValueError(f"composition x = {x}: must be from 0 to 3, iodine per formula unit of CsPbBr(3−x)I(x)")
        ions = 1 - self.lattice.vacancy
        iodide = round(ions * x / 3, 6)
        return self.replace(lattice__iodide=iodide, lattice__bromide=ions - iodide)

    @property
    def steps(self) -> int:
        """Steps of the paper's scheme."""
        return 500 if self.run.steps is None else self.run.steps

    @property
    def events(self) -> int | None:
        """Events after which the exact clock stops; None if only the time stops it."""
        if self.run.events is None and self.run.time_s is None:
            return 1_000_000
        return self.run.events

    @property
    def heating_rate(self) -> float:
        """B, per step or per second; infinite on the exact clock if not given."""
        if self.temperature.heating_rate is not None:
            return self.temperature.heating_rate
        return 0.02 if self.run.scheme == "paper" else math.inf

    @property
    def escape_probability(self) -> float:
        """A of the escape probability, zero if the reading has no escape."""
        return self.escape.probability if self.reading.escape == "chosen" else 0.0


def read_tables(values: Mapping[str, Any]) -> tuple[KmcConfig, Sweep | None]:
    """Read the tables of a file: the configuration, and the sweep if there is a table ``[sweep]``.

    Raises
    ------
    ValueError
        As :meth:`KmcConfig.from_mapping`; also for a sweep's value that its key does not take.
    """
    config = KmcConfig.from_mapping({name: table for name, table in values.items() if name != "sweep"})
    if "sweep" not in values:
        return config, None
    table = values["sweep"]
    if not isinstance(table, Mapping):
        raise ValueError(f"'sweep' = {table!r}: must be a table of keys, [sweep]")
    for key in table:
        if key not in ("key", "values"):
            raise ValueError(f"unknown key 'sweep.{key}'; [sweep] has key, values")
    key, wanted = table.get("key"), table.get("values")
    if not isinstance(key, str) or key.count(".") != 1:
        raise ValueError(f"sweep.key = {key!r}: name a key as table.key, for example \"barriers.iodide_ev\"")
    if not isinstance(wanted, list) or not wanted or not all(type(value) in (int, float) for value in wanted):
        raise ValueError(f"sweep.values = {wanted!r}: must be a list of numbers, for example [0.08, 0.10, 0.12]")
    for value in wanted:
        config.replace(**{key.replace(".", "__"): value})
    return config, Sweep(key, tuple(wanted))


def _check_table(name: str, table: Any) -> None:
    """Check types and ranges of one table, the first problem found."""
    hints = get_type_hints(type(table))
    for key in dataclasses.fields(table):
        value, hint = getattr(table, key.name), hints[key.name]
        where = f"{name}.{key.name} = {value!r}"
        choices = get_args(hint)
        if value is None and type(None) in choices:
            continue
        if choices and all(isinstance(choice, str) for choice in choices):
            if value not in choices:
                raise ValueError(f"{where}: must be one of {', '.join(repr(choice) for choice in choices)}")
            continue
        if hint is bool:
            if not isinstance(value, bool):
                raise ValueError(f"{where}: must be true or false")
            continue
        whole = hint is int or int in choices
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise ValueError(f"{where}: must be a {'whole number' if whole else 'number'}")
        low, high, open_low = key.metadata["limits"]
        if math.isnan(value) or not (low < value if open_low else low <= value) or value > high:
            begin = f"above {low:g}" if open_low else f"from {low:g}"
            raise ValueError(f"{where}: must be {begin} to {high:g}")


PAPER = KmcConfig()
"""The "paper" preset: the reading and the constants with which the paper's E_g(t) is reproduced."""
