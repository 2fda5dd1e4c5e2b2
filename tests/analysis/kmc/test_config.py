"""What a configuration accepts, and the one sentence with which it refuses."""

import math

import pytest

from halidescope.analysis.kmc.config import PAPER, KmcConfig


def test_nothing_given_is_the_papers_run() -> None:
    config = KmcConfig.from_mapping({})
    assert config == PAPER
    assert (config.lattice.size, config.lattice.bromide, config.lattice.iodide, config.lattice.vacancy) == (
        20, 0.64, 0.352, 0.008)
    assert (config.barriers.bromide_ev, config.barriers.iodide_ev) == (0.21, 0.10)
    assert (config.temperature.ambient_k, config.temperature.amplitude_k, config.heating_rate) == (300, 150, 0.02)
    assert (config.escape.probability, config.escape.alpha_per_k, config.steps) == (0.3, 0.01, 500)


def test_tables_are_read_and_come_back() -> None:
    values = {"lattice": {"size": 64}, "run": {"scheme": "exact", "time_s": 1e-6, "tracer": True, "seed": 3}}
    config = KmcConfig.from_mapping(values)
    assert KmcConfig.from_mapping(config.to_mapping()) == config
    assert config.events is None
    assert math.isinf(config.heating_rate)


def test_the_exact_clock_stops_at_a_million_events_by_default() -> None:
    assert KmcConfig.from_mapping({"run": {"scheme": "exact"}}).events == 1_000_000


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"latice": {}}, "unknown table 'latice'"),
        ({"lattice": {"siz": 3}}, r"unknown key 'lattice\.siz'"),
        ({"lattice": 5}, "must be a table"),
        ({"lattice": {"size": 20.5}}, r"lattice.size = 20.5: must be a whole number"),
        ({"lattice": {"size": True}}, "whole number"),
        ({"lattice": {"size": 2000}}, "from 2 to 1024"),
        ({"lattice": {"bromide": 0.7}}, "add up to 1"),
        ({"barriers": {"iodide_ev": "0.1"}}, r"barriers\.iodide_ev = '0.1': must be a number"),
        ({"barriers": {"prefactor_hz": 0}}, "above 0"),
        ({"temperature": {"ambient_k": math.nan}}, r"temperature\.ambient_k = nan"),
        ({"escape": {"probability": 1.5}}, "from 0 to 1"),
        ({"run": {"scheme": "fast"}}, "'paper', 'exact'"),
        ({"run": {"tracer": 1}}, "true or false"),
        ({"run": {"scheme": "exact", "steps": 5}}, "steps belongs to"),
        ({"run": {"events": 5}}, "belong to scheme"),
        ({"run": {"tracer": True}}, r"run\.tracer needs"),
        ({"reading": {"temperature_at": "moon"}}, "'vacancy', 'ion'"),
    ],
)
def test_mistakes_are_named(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        KmcConfig.from_mapping(values)
    assert "\n" not in str(caught.value)


def test_replace_names_keys_with_their_table() -> None:
    assert PAPER.replace(barriers__iodide_ev=0.12).barriers.iodide_ev == 0.12
    with pytest.raises(ValueError, match="table__key"):
        PAPER.replace(iodide_ev=0.12)
    with pytest.raises(ValueError, match=r"unknown key 'barriers\.iodide'"):
        PAPER.replace(barriers__iodide=0.12)
