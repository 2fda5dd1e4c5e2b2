"""What a plan says of the film that light will change, from a stated or a fitted rate."""

import math

import pytest

from halidescope.acquisition.plan import make_plan
from halidescope.acquisition.problems import BadFileError
from halidescope.acquisition.recipes import parse_recipe
from halidescope.acquisition.results import Number, OnlineResults
from halidescope.acquisition.storage import finish

from .conftest import header
from .test_plan import MAP, SERIES
from .test_safety import MICROSCOPE

RATE = {"rate_per_s": 0.02, "at_power_uw": 120.0, "convertible_share": 0.7, "limit_share": 0.001}


def test_a_stated_rate_tells_what_a_map_will_change():
    assert make_plan(parse_recipe(MAP), MICROSCOPE).expected_change is None
    plan = make_plan(parse_recipe({**MAP, "change": RATE}), MICROSCOPE)
    lit_s = plan.peak_dose_j_cm2 / plan.peak_irradiance_w_cm2
    assert plan.expected_change == pytest.approx(0.7 * (1 - math.exp(-0.02 * 5 / 120 * lit_s)))
    assert plan.warnings == []
    squared = make_plan(parse_recipe({**MAP, "change": {**RATE, "exponent": 2.0}}), MICROSCOPE)
    assert squared.expected_change < plan.expected_change / 20


@pytest.mark.parametrize("beyond", ["warn", "refuse"])
def test_a_probe_that_would_change_too_much_is_warned_of_or_refused(beyond):
    change = {**RATE, "limit_share": 1e-5, "beyond": beyond}
    plan = make_plan(parse_recipe({**MAP, "change": change}), MICROSCOPE)
    (said,) = plan.warnings if beyond == "warn" else plan.violations
    assert said.startswith("map 51 × 51 at 5 µW: its light will change 0.01% of the film")
    assert (plan.warnings, plan.violations).count([]) == 1
    # a time series is there to change the film; a sequence hands down what it states
    assert make_plan(parse_recipe({**SERIES, "change": change}), MICROSCOPE).warnings == []
    both = make_plan(parse_recipe({"kind": "sequence", "recipes": [SERIES, MAP], "change": change}), MICROSCOPE)
    assert both.expected_change > 0.6
    assert len(both.warnings + both.violations) == 1


def test_a_fitted_rate_is_taken_from_its_series(write_journal):
    results = OnlineResults(numbers={"average_rate_per_s": Number(0.01, 0.001)})
    out = write_journal(header("time-series"), list(range(12)), results=results)
    finish(out)
    plan = make_plan(parse_recipe({**MAP, "change": {"series": str(out)}}), MICROSCOPE)
    assert plan.expected_change == pytest.approx(0.7 * (1 - math.exp(-0.01 * 0.22)), rel=1e-6)
    bare = write_journal(header("time-series"), [0, 1], name="bare.nxs")
    finish(bare)
    with pytest.raises(BadFileError, match=r"bare.nxs has no fitted rate above 0; choose a longer series"):
        make_plan(parse_recipe({**MAP, "change": {"series": str(bare)}}), MICROSCOPE)
