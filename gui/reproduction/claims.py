"""One number of the paper in three columns, and when two of them contradict each other."""

import math
from dataclasses import dataclass

from halidescope.acquisition.results import Number
from halidescope.analysis.rounding import plus_minus, scientific


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A quantity of T. R. da Cunha et al., ACS Appl. Mater. Interfaces 2025, 17, 14389.

    Attributes
    ----------
    section, quantity, unit : str
    stated : float or None
        What the paper's text states; ``stated_se`` its error as stated, ``stated_words`` where it is no single number.
    tolerance : float
        How far the formula may be from what is stated: the stated error, or half of the last digit.
    formula : float or None
        What the paper's own formula and numbers give.
    recovered : Number or None
        From simulated measurements, with standard error.
    truth : float or None
        The simulated film's own value, to which ``recovered`` is to be compared: where the supplement is not public the
        film's numbers are a choice of ours.
    vague : bool
        The paper does not say enough, or says two things.
    remark : str
    """

    section: str
    quantity: str
    unit: str = ""
    stated: float | None = None
    stated_se: float | None = None
    stated_words: str = ""
    tolerance: float = math.inf
    formula: float | None = None
    recovered: Number | None = None
    truth: float | None = None
    vague: bool = False
    remark: str = ""

    @property
    def contradicts(self) -> bool:
        """True where stated value and formula differ by more than they may, or the text is vague: marked [!]."""
        if self.vague:
            return True
        if self.stated is None or self.formula is None:
            return False
        return abs(self.formula - self.stated) > self.tolerance * (1 + 1e-9)

    @property
    def deviation(self) -> float | None:
        """Recovered minus true value in standard errors."""
        if self.recovered is None or self.truth is None or not self.recovered.se:
            return None
        return (self.recovered.value - self.truth) / self.recovered.se

    def words(self) -> tuple[str, str, str, str, str]:
        """Stated, formula, recovered, true value, deviation: as they are printed."""
        stated = self.stated_words
        if not stated and self.stated is not None:
            stated = scientific(self.stated, 4) if self.stated_se is None else plus_minus(self.stated, self.stated_se)
        formula = "" if self.formula is None else scientific(self.formula, 4)
        recovered = "" if self.recovered is None else self.recovered.words()
        truth = "" if self.truth is None else scientific(self.truth, 4)
        deviation = "" if self.deviation is None else f"{self.deviation:+.1f} σ"
        return stated, formula, recovered, truth, deviation

    def plain(self) -> dict[str, object]:
        """For JSON, which knows no numbers of numpy."""
        found = self.recovered
        return {
            "section": self.section, "quantity": self.quantity, "unit": self.unit, "stated": _plain(self.stated),
            "stated_se": _plain(self.stated_se), "stated_words": self.stated_words, "formula": _plain(self.formula),
            **(Number(math.nan) if found is None else found).plain("recovered"), "truth": _plain(self.truth),
            "deviation_se": _plain(self.deviation), "contradiction": bool(self.contradicts), "remark": self.remark,
        }  # fmt: skip


def _plain(value: float | None) -> float | None:
    return None if value is None else float(value)
