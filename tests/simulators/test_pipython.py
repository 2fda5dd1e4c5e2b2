"""PI's own client drives the simulated controller."""

import time
from collections.abc import Iterator

import pytest
from pipython import GCSDevice, pitools
from pipython.pidevice import GCS2Commands
from pipython.pidevice.gcserror import GCSError
from pipython.pidevice.interfaces.pisocket import PISocket


class OnceClosedSocket(PISocket):
    """PI's socket; closing twice is harmless, because GCSDevice closes it again when it is collected."""

    def close(self) -> None:
        if self.connected:
            super().close()


@pytest.fixture
def controller(simulate) -> Iterator[GCSDevice]:
    """GCSDevice over a plain socket: ConnectTCPIP() of the device itself needs PI's binary library."""
    served = next(device for device in simulate().microscope.devices if device.role == "stage")
    with GCSDevice(gateway=OnceClosedSocket(served.host, served.port)) as device:
        device.timeout = 60_000
        yield device


def test_it_is_recognised_as_gcs_2(controller: GCSDevice) -> None:
    assert isinstance(controller.gcscommands, GCS2Commands)
    assert "E-727" in controller.qIDN()
    assert controller.axes == ["1", "2", "3"]
    assert controller.numaxes == 3
    assert controller.qCSV() == pytest.approx(2.0)


def test_servo_move_and_wait(controller: GCSDevice) -> None:
    controller.SVO(["1", "2"], [True, True])
    assert controller.qSVO(["1", "2", "3"]) == {"1": True, "2": True, "3": False}
    controller.MOV({"1": 12.5, "2": 100.0})
    pitools.waitontarget(controller, axes=["1", "2"], timeout=60.0, polldelay=0.01)
    assert controller.qONT(["1", "2"]) == {"1": True, "2": True}
    assert controller.qPOS(["1", "2"]) == pytest.approx({"1": 12.5, "2": 100.0}, abs=0.02)
    controller.MVR("1", -2.5)
    pitools.waitontarget(controller, axes="1", timeout=60.0, polldelay=0.01)
    assert controller.qMOV("1")["1"] == pytest.approx(10.0)
    assert controller.IsMoving() == {"1": False, "2": False, "3": False}
    assert controller.IsControllerReady()


def test_errors_arrive_with_their_number(controller: GCSDevice) -> None:
    with pytest.raises(GCSError) as servo_off:
        controller.MOV("1", 10.0)
    assert servo_off.value.val == 5
    controller.SVO("1", True)
    with pytest.raises(GCSError) as out_of_limits:
        controller.MOV("1", 250.0)
    assert out_of_limits.value.val == 7
    with pytest.raises(GCSError) as stopped:
        controller.STP()
    assert stopped.value.val == 10
    assert controller.qERR() == 0


def test_limits_velocity_parameters_and_help(controller: GCSDevice) -> None:
    assert controller.qTMN("1")["1"] == 0.0
    assert controller.qTMX("2")["2"] == 200.0
    controller.VEL("1", 1000.0)
    assert controller.qVEL("1")["1"] == 1000.0
    controller.SPA("1", 0x07000900, 0.05)
    assert controller.qSPA("1", 0x07000900)["1"][0x07000900] == pytest.approx(0.05)
    assert controller.HasMOV()
    assert not controller.HasFRF()
    assert controller.getparam(0x07000001, "1") == pytest.approx(200.0)
    assert controller.qIFC()["RSBAUD"] == "115200"
    assert not controller.qOVF("1")["1"]


def test_a_wave_runs_and_is_read_back(controller: GCSDevice) -> None:
    controller.SVO("1", True)
    controller.WAV_LIN(
        table=1, firstpoint=1, numpoints=400, append="X", speedupdown=20, amplitude=30, offset=10, seglength=400
    )
    controller.WSL(1, 1)
    controller.WGC(1, 1)
    controller.WTR(0, 20, 1)
    controller.TWC()
    controller.TWS([1, 1], [1, 200], [1, 1])
    controller.CTO(1, 3, 4)
    header = controller.qGWD(1, 1, 400)
    deadline = time.monotonic() + 60.0
    while controller.bufstate is not True:
        assert time.monotonic() < deadline
    assert int(header["NDATA"]) == 400
    assert controller.bufdata[0][-1] == pytest.approx(40.0)
    controller.WGO(1, 1)
    assert any(controller.IsGeneratorRunning().values())
    while any(controller.IsGeneratorRunning().values()):
        assert time.monotonic() < deadline
    assert controller.qPOS("1")["1"] == pytest.approx(40.0, abs=0.01)
