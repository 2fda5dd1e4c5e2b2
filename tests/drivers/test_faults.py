"""What the drivers report for every fault of every model, compared with the table in the documentation.

The tests write nothing unless ``HALIDESCOPE_WRITE_FAULTS`` names a file: then the table is written there anew.
"""

import os
import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from halidescope.drivers.catalogue import MODELS
from halidescope.drivers.errors import InstrumentError

from .conftest import HASTY_S, HURRIED_S, LATE_S, hurried

TABLE = Path(__file__).parents[2] / "docs" / "faults.md"
WAITS_S = {"late-reply": HURRIED_S, "spectrometer-silent": HURRIED_S, "garbage-reply": HASTY_S,
           "spectrum-truncated": HASTY_S}  # fmt: skip
LINE_FAULTS = ("slow-reply", "garbage-reply", "late-reply", "connection-drop")
FAULTS = {
    "laser": ("interlock-open", "laser-fault", *LINE_FAULTS),
    "stage": ("stage-stall", "stage-servo-off", *LINE_FAULTS),
    "spectrometer": ("spectrometer-silent", "spectrum-truncated", "spectrum-stale", "saturated", *LINE_FAULTS),
}
CASES = [(model, fault) for model, entry in MODELS.items() for fault in FAULTS[entry.role]]
SETTINGS = {"zaber-ascii": {"home": True}}
SETTLE_WAIT_S = 0.1     # for a stage that will not arrive
HEAD = """# What the drivers report when something breaks

Made and checked by `tests/drivers/test_faults.py` against the simulated instruments, over TCP. Numbers and quoted
answers are left out (…). For the faults themselves see [the simulated microscope](simulated-microscope.md).
*Afterwards* is what was seen to work once the fault was mended, and how; a late answer was never taken for another's.

| model | fault | while | the driver reports | afterwards |
|---|---|---|---|---|
"""


@pytest.fixture(scope="module")
def seen() -> Iterator[dict[tuple[str, str], str]]:
    """Rows as they are seen; written at the end if that is asked for."""
    rows: dict[tuple[str, str], str] = {}
    yield rows
    if where := os.environ.get("HALIDESCOPE_WRITE_FAULTS"):
        Path(where).write_text(HEAD + "".join(f"{rows[case]}\n" for case in CASES if case in rows), encoding="utf-8")


@pytest.fixture
def models(request):
    model, _ = request.node.callspec.params["case"]
    return {"laser": None, "stage": None, "spectrometer": None, MODELS[model].role: model}


def plain(text: str) -> str:
    """A message without what differs from run to run."""
    text = re.sub(r"answered .* to .*, expected", "answered … to …, expected", text)
    text = re.sub(r"was lost at (.*) \(.*\);", r"was lost at \1;", text)    # how it was noticed depends on the moment
    text = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "…", text)
    return re.sub(r"(?<![\w-])-?\d+(?:\.\d+)?", "…", text).replace("|", "/")


def prepare(instrument):
    """Bring the instrument to where the fault matters; returns what is done then, and its name."""
    if instrument.role == "laser":
        instrument.set_power(30.0)
        return instrument.turn_on, "switching on"
    if instrument.role == "stage":
        instrument.move_to(10.0, 10.0)
        return lambda: instrument.move_to(150.0, 150.0), "moving"
    instrument.set_exposure(0.05)
    instrument.acquire()
    return instrument.acquire, "acquiring"


def observe(wire, instrument, fault: str) -> tuple[str, str]:
    """What is done while the fault acts, and what comes of it."""
    action, name = prepare(instrument)
    if fault in LINE_FAULTS:
        action, name = instrument.identify, "asking who it is"
    wire.fault(fault, **({"delay_s": LATE_S} if fault == "late-reply" else {}))
    if instrument.role == "stage":
        instrument.settle_wait_s, patient_s = SETTLE_WAIT_S, instrument.settle_wait_s
    try:
        with hurried(instrument, WAITS_S[fault]) if fault in WAITS_S else nullcontext():
            result = action()
    except InstrumentError as error:
        return name, f"`{type(error).__name__}`: {plain(error.problem)}"
    finally:
        if instrument.role == "stage":
            instrument.settle_wait_s = patient_s
    if getattr(result, "saturated", False):
        return name, "no error; the spectrum says that it is saturated"
    return name, "no error; the answer is waited for"


def recover(instrument, fault: str) -> str:
    """Use the instrument after the fault was mended; what was needed for it, and what works then."""
    if fault == "connection-drop":
        instrument.reconnect()
    if fault in LINE_FAULTS:
        for _ in range(20):
            try:
                with hurried(instrument, HASTY_S):
                    assert instrument.identify() == instrument.identity
                break
            except InstrumentError:
                continue    # the late answer is still on its way; each time no longer than the time-out
        else:
            pytest.fail("never came back into step")
        return "`reconnect()`, then answers are right" if fault == "connection-drop" else "the next answer is right"
    if instrument.role == "laser":
        instrument.clear_fault()
        instrument.turn_on()
        assert instrument.power_mw > 29.0
        instrument.turn_off()
        return "`clear_fault()`, then it lights"
    if instrument.role == "stage":
        if fault == "stage-servo-off":
            instrument.reconnect()
        assert instrument.move_to(40.0, 60.0) == pytest.approx((40.0, 60.0), abs=instrument.tolerance_um)
        return "`reconnect()`, then it moves" if fault == "stage-servo-off" else "it moves"
    assert not instrument.acquire().saturated
    return "the next spectrum is whole and new"


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_fault_is_reported_as_documented(case, wire, seen):
    model, fault = case
    instrument = wire.connect(MODELS[model].role, **SETTINGS.get(model, {}))
    name, outcome = observe(wire, instrument, fault)
    wire.mend()
    afterwards = recover(instrument, fault)
    seen[case] = row = f"| `{model}` | `{fault}` | {name} | {outcome} | {afterwards} |"
    if "HALIDESCOPE_WRITE_FAULTS" not in os.environ:
        assert row in TABLE.read_text(encoding="utf-8").splitlines()


def test_the_table_has_every_fault_of_every_model_and_no_other():
    rows = [line for line in TABLE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [tuple(row.split("`")[1:4:2]) for row in rows] == CASES
