"""A stage's trigger output starts the exposures of a spectrometer, both through their drivers."""

import threading

import pytest

from halidescope.drivers.errors import ConnectionLostError
from halidescope.drivers.roles import Line

EDGE = {"ocean-hdx": "edge", "ocean-qepro": "edge", "ocean-sts": "external"}
PIXELS = 4
EXPOSURE_S = 0.1
LINE = Line((20.0, 40.0), (100.0, 40.0), PIXELS, pixel_s=4.0)     # 0.2 s of the computer's time each: it may be busy


@pytest.fixture(params=[
    ("pi-e727", "ocean-hdx", {"line_by": "wave"}), ("pi-e727", "ocean-qepro", {"line_by": "distance"}),
    ("zaber-ascii", "ocean-sts", {"home": True}), ("asi-ms2000", "ocean-hdx", {}),
], ids=lambda case: "-".join(case[:2]))  # fmt: skip
def case(request):
    return request.param


@pytest.fixture
def models(case):
    return {"laser": None, "stage": case[0], "spectrometer": case[1], "speed": 20.0}


def test_an_external_trigger_starts_every_exposure_and_nothing_else_does(wire, case):
    _, model, settings = case
    stage = wire.connect("stage", timeout_s=5.0, **settings)
    spectrometer = wire.connect("spectrometer", timeout_s=1.0, trigger_wait_s=0.0)
    spectrometer.set_exposure(EXPOSURE_S)
    spectrometer.set_trigger_mode(EDGE[model])
    with pytest.raises(ConnectionLostError, match="no answer"):
        spectrometer.acquire()      # nothing moves, so nothing triggers
    assert wire.get("spectrometer.scans_waiting") == 1
    spectrometer.set_exposure(EXPOSURE_S)       # the next command gives that spectrum up
    assert wire.get("spectrometer.scans_waiting") == 0

    spectrometer.trigger_wait_s = 10.0
    stage.move_to(*LINE.start_um)
    expected = 1 if stage.model == "asi-ms2000" else PIXELS      # which marks the beginning of a line only
    before = len(wire.get("stage.triggers_s"))
    exposures_before = len(wire.get("spectrometer.exposures_s"))
    spectra = []
    thread = threading.Thread(target=lambda: spectra.extend(spectrometer.stream(expected)))
    thread.start()
    while not wire.get("spectrometer.scans_waiting"):
        assert thread.is_alive()        # armed before the stage sets out
    stage.start_line(LINE)
    thread.join(timeout=20.0)
    stage.finish_line()
    assert len(spectra) == expected
    rises_s = wire.get("stage.triggers_s")[before:]
    exposures_s = wire.get("spectrometer.exposures_s")[exposures_before:]
    for (start_s, end_s), rise_s in zip(exposures_s, rises_s[:expected], strict=True):
        assert 0.0 <= start_s - rise_s < LINE.pixel_s / 2      # by the microscope's own clock: each at its own pixel
        assert end_s - start_s == pytest.approx(EXPOSURE_S)
    spectrometer.set_trigger_mode("normal")
    assert spectrometer.acquire().counts.any()
