"""What every spectrometer driver must do, over the wire."""

import itertools

import numpy as np
import pytest

from halidescope.drivers.catalogue import MODELS
from halidescope.drivers.errors import BadReplyError, ConnectionLostError, LimitError
from halidescope.drivers.ocean_messages import Message

from .conftest import HASTY_S, hurried

SPECTROMETERS = [name for name, entry in MODELS.items() if entry.role == "spectrometer"]


@pytest.fixture(params=SPECTROMETERS)
def models(request):
    return {"laser": None, "stage": None, "spectrometer": request.param}


@pytest.fixture
def spectrometer(wire):
    return wire.connect("spectrometer")


class TestSpectrometer:
    def test_names_itself(self, spectrometer, wire):
        device = wire.devices["spectrometer"]
        assert spectrometer.device == f"spectrometer {device.model} ({device.resource})"
        assert spectrometer.identity.serial

    def test_wavelengths_rise_over_the_visible(self, spectrometer):
        wavelength_nm = spectrometer.wavelength_nm
        assert wavelength_nm.shape == (spectrometer.pixels,)
        assert np.all(np.diff(wavelength_nm) > 0)
        assert wavelength_nm[0] < 500 < 700 < wavelength_nm[-1]

    def test_nonlinearity_is_a_polynomial_near_one(self, spectrometer):
        assert spectrometer.nonlinearity[0] == pytest.approx(1.0, abs=0.2)

    def test_exposure_is_kept(self, spectrometer):
        spectrometer.set_exposure(0.05)
        assert spectrometer.exposure_s == 0.05
        assert spectrometer.acquire().exposure_s == 0.05

    def test_limits_refuse_before_sending(self, spectrometer):
        spectrometer.set_exposure(0.05)
        shortest, longest = spectrometer.exposure_limits_s
        for exposure_s in (shortest * 0.9, longest * 1.1, float("nan"), 0.0):
            with pytest.raises(LimitError, match="allowed"):
                spectrometer.set_exposure(exposure_s)
        assert spectrometer.exposure_s == 0.05

    def test_the_ends_of_the_range_are_inside(self, spectrometer):
        shortest, _ = spectrometer.exposure_limits_s
        spectrometer.set_exposure(shortest)
        assert spectrometer.exposure_s == shortest

    def test_a_spectrum_has_every_pixel_and_its_own_noise(self, spectrometer):
        spectrometer.set_exposure(0.1)
        first, second = spectrometer.acquire(), spectrometer.acquire()
        assert first.counts.shape == second.counts.shape == (spectrometer.pixels,)
        assert first.counts.dtype.kind == "u"
        assert np.any(first.counts != second.counts)
        assert not first.saturated

    def test_a_stream_exposes_without_a_pause(self, spectrometer, wire):
        spectrometer.set_exposure(3.0)       # 50 ms of this computer
        before = len(wire.get("spectrometer.exposures_s"))
        spectra = list(spectrometer.stream(6))
        exposures_s = wire.get("spectrometer.exposures_s")[before:]
        assert len(spectra) == len(exposures_s) == 6
        touching = sum(start_s == end_s for (_, end_s), (start_s, _) in itertools.pairwise(exposures_s))
        assert touching >= 2                 # one by one, none; all of them on a computer with nothing else to do
        assert all(one.exposure_s == 3.0 and one.counts.shape == (spectrometer.pixels,) for one in spectra)
        assert len({one.counts.tobytes() for one in spectra}) == 6

    def test_a_stream_may_end_early_or_break_and_is_recovered_from(self, spectrometer, wire):
        spectrometer.set_exposure(0.1)
        stream = spectrometer.stream(50)
        next(stream)
        stream.close()
        assert spectrometer.acquire().exposure_s == 0.1
        broken = spectrometer.stream(50)
        next(broken)
        wire.fault("spectrum-truncated")
        with hurried(spectrometer, HASTY_S), pytest.raises(BadReplyError):
            list(broken)
        wire.mend()
        assert len(list(spectrometer.stream(3))) == 3
        assert list(spectrometer.stream(0)) == []

    def test_saturation_is_told(self, spectrometer, wire):
        spectrometer.set_exposure(0.1)
        wire.fault("saturated")
        spectrum = spectrometer.acquire()
        assert spectrum.saturated
        assert spectrum.counts.max() >= spectrometer.saturation_counts
        wire.mend()
        assert not spectrometer.acquire().saturated

    def test_truncated_spectrum_raises_and_the_next_is_whole(self, spectrometer, wire):
        spectrometer.set_exposure(0.05)
        wire.fault("spectrum-truncated")
        with hurried(spectrometer, HASTY_S), pytest.raises(BadReplyError):
            spectrometer.acquire()
        wire.mend()
        assert spectrometer.acquire().counts.shape == (spectrometer.pixels,)

    def test_stale_spectrum_raises_and_the_next_is_new(self, spectrometer, wire):
        spectrometer.set_exposure(0.05)
        before = spectrometer.acquire()
        wire.fault("spectrum-stale")
        with pytest.raises(BadReplyError):
            spectrometer.acquire()
        wire.mend()
        assert np.any(spectrometer.acquire().counts != before.counts)

    def test_silence_is_a_lost_connection_and_is_recovered_from(self, spectrometer, wire):
        spectrometer.set_exposure(0.05)
        wire.fault("spectrometer-silent")
        with hurried(spectrometer), pytest.raises(ConnectionLostError, match="no answer"):
            spectrometer.acquire()
        wire.mend()
        assert spectrometer.acquire().counts.shape == (spectrometer.pixels,)

    def test_an_exposure_whose_first_spectrum_failed_is_discarded_later(self, spectrometer, wire):
        spectrometer.set_exposure(0.05)
        wire.fault("spectrum-truncated")
        with hurried(spectrometer, HASTY_S), pytest.raises(BadReplyError):
            spectrometer.set_exposure(0.1)
        wire.mend()
        assert spectrometer.acquire().exposure_s == 0.1

    def test_reconnected_it_has_its_exposure(self, spectrometer, wire):
        spectrometer.set_exposure(0.05)
        wire.fault("connection-drop")
        with pytest.raises(ConnectionLostError):
            spectrometer.acquire()
        wire.mend()
        spectrometer.reconnect()
        assert spectrometer.exposure_s == 0.05
        assert spectrometer.acquire().counts.shape == (spectrometer.pixels,)

    def test_reconnected_it_has_its_averages_its_trigger_mode_and_its_darks(self, spectrometer, wire):
        spectrometer.set_exposure(0.05)
        dark = spectrometer.take_dark(2)
        spectrometer.set_averages(4)
        mode = next(mode for mode in spectrometer.kind.triggers if mode != "normal")
        spectrometer.set_trigger_mode(mode)
        for attempt in (spectrometer.identify, lambda: spectrometer.reconnect(within_s=0.0)):
            wire.fault("connection-drop")
            with pytest.raises(ConnectionLostError):
                attempt()    # an attempt that fails forgets nothing
        spectrometer.reconnect()
        assert (spectrometer.averages, spectrometer.trigger_mode, spectrometer.exposure_s) == (4, mode, 0.05)
        assert spectrometer.dark(0.05) is dark
        # and not only the driver believes so
        told = [spectrometer.query(message).data for message in (Message.AVERAGES, Message.TRIGGER_MODE)]
        assert [int.from_bytes(data, "little") for data in told] == [4, spectrometer.kind.triggers[mode]]

    def test_a_dark_is_kept_for_its_exposure(self, spectrometer):
        spectrometer.set_exposure(0.05)
        assert spectrometer.dark(0.05) is None
        dark = spectrometer.take_dark(4)
        assert dark.counts.shape == (spectrometer.pixels,)
        assert (dark.exposure_s, dark.spectra) == (0.05, 4)
        spectrometer.set_exposure(0.1)
        assert spectrometer.dark(0.1) is None
        assert spectrometer.dark(0.05) is dark
        assert spectrometer.acquire().counts.mean() == pytest.approx(dark.counts.mean(), rel=0.2)
        with pytest.raises(LimitError, match="at least one"):
            spectrometer.take_dark(0)

    def test_averages_take_their_noise_and_their_time(self, spectrometer):
        spectrometer.set_exposure(0.05)

        def noise():
            first, second = (spectrometer.acquire().counts.astype(float) for _ in range(2))
            return np.std(first - second)

        single = noise()
        spectrometer.set_averages(16)
        assert spectrometer.averages == 16
        assert noise() < 0.6 * single
        with pytest.raises(LimitError, match="allowed 1 to 5000"):
            spectrometer.set_averages(0)

    def test_trigger_modes_are_those_of_the_model(self, spectrometer):
        assert spectrometer.trigger_mode == "normal"
        for mode in spectrometer.kind.triggers:
            spectrometer.set_trigger_mode(mode)
            assert spectrometer.trigger_mode == mode
        spectrometer.set_trigger_mode("normal")
        assert spectrometer.acquire().counts.any()
        with pytest.raises(LimitError, match="allowed normal"):
            spectrometer.set_trigger_mode("moonlight")

    def test_the_origin_of_the_wavelengths_is_a_setting(self, spectrometer, wire):
        plain = spectrometer.wavelength_nm.copy()
        shifted = wire.connect("spectrometer", wavelength_origin=10)
        assert shifted.wavelength_nm[10] == pytest.approx(plain[0])


class TestCooler:
    @pytest.fixture(params=["ocean-qepro"])
    def models(self, request):
        return {"laser": None, "stage": None, "spectrometer": request.param, "speed": 1000.0}

    def test_it_cools_to_its_set_point(self, spectrometer):
        spectrometer.cool(-10.0)
        assert spectrometer.cooler_on
        assert spectrometer.cooler_setpoint_c == pytest.approx(-10.0)
        for _ in range(20000):
            if spectrometer.cooler_stable:
                break
        else:
            pytest.fail("never stable")
        assert spectrometer.temperature_c == pytest.approx(-10.0, abs=1.0)
        spectrometer.stop_cooling()
        assert not spectrometer.cooler_on

    def test_temperatures_out_of_reach_are_never_sent(self, spectrometer):
        with pytest.raises(LimitError, match="allowed -40 to 50 °C"):
            spectrometer.cool(-41.0)
