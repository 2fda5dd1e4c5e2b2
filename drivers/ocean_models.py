"""Ocean QE Pro and STS: what they have beyond the family, in :mod:`halidescope.drivers.ocean`.

Source: QE Pro data sheet 891-00000-000-05-201604, pages 13 and 21 to 29.
"""

import struct
from typing import Any, ClassVar

from pymeasure.adapters import Adapter

from halidescope.drivers.errors import LimitError, RefusedError
from halidescope.drivers.ocean import OceanSpectrometer
from halidescope.drivers.ocean_messages import QE_PRO, STS, Message, OceanModel

METADATA = struct.Struct("<IQI")    # spectrum counter, time stamp in µs, exposure in µs; the rest is not documented
COLDEST_C, WARMEST_C = -40.0, 50.0


class OceanQEPro(OceanSpectrometer):
    """Ocean QE Pro: 1044 pixels of 18 bits, cooled, over RS-232 or USB.

    Every spectrum carries a counter, a time stamp and its exposure. A frame that was sent before and one of another
    exposure are recognised by them.

    Open programs count the pixels of the wavelength coefficients from different origins, 10 pixels (some 7 nm) apart;
    check with a lamp line, and give ``wavelength_origin`` if it is not pixel 0.
    """

    model: ClassVar[str] = "ocean-qepro"
    kind: ClassVar[OceanModel] = QE_PRO

    def __init__(self, adapter: str | Adapter, name: str = "Ocean QE Pro", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)

    def _forget(self) -> None:
        super()._forget()
        self._last_stamp: tuple[int, int] | None = None

    def check_metadata(self, metadata: bytes) -> None:
        """Compare counter and time stamp with those before, and the exposure with the one that is set."""
        counter, time_us, exposure_us = METADATA.unpack_from(metadata)
        if (counter, time_us) == self._last_stamp:
            raise self.bad_reply(self.kind.spectrum.name, f"spectrum {counter} a second time", "a new exposure")
        if not self._mixed and exposure_us != self._exposure_us:
            raise self.bad_reply(
                self.kind.spectrum.name, f"a spectrum of {exposure_us} µs", f"one of {self._exposure_us} µs"
            )
        self._last_stamp = (counter, time_us)

    # --- cooler ----------------------------------------------------------------------------------------------------

    @property
    def cooler_on(self) -> bool:
        """Get whether the detector is cooled (bool). :meth:`cool` and :meth:`stop_cooling` change it."""
        return self._flag(Message.COOLER_ON)

    @property
    def cooler_stable(self) -> bool:
        """Get whether the detector has reached the cooler's set-point and stays there (bool)."""
        return self._flag(Message.COOLER_STABLE)

    @property
    def cooler_setpoint_c(self) -> float:
        """Get the temperature in °C to which the detector is cooled."""
        return self._number(Message.COOLER_SETPOINT)

    @property
    def temperature_c(self) -> float:
        """Measure the temperature of the detector in °C."""
        return self._number(Message.COOLER_TEMPERATURE)

    def cool(self, setpoint_c: float) -> None:
        """Cool the detector to a temperature in °C; :attr:`cooler_stable` tells when it is there.

        Raises
        ------
        LimitError
            Not a temperature that the cooler can be asked for; nothing was sent.
        RefusedError
            The device did not take the set-point or did not switch on.
        """
        if not COLDEST_C <= setpoint_c <= WARMEST_C:
            raise LimitError(
                self.device,
                f"detector temperature = {setpoint_c:g} °C asked, allowed {COLDEST_C:g} to {WARMEST_C:g} °C; "
                f"choose a warmer one",
            )
        with self.lock:
            self.command(Message.SET_COOLER_SETPOINT, struct.pack("<f", setpoint_c))
            if abs(self.cooler_setpoint_c - setpoint_c) > 0.1:
                raise RefusedError(
                    self.device, f"{setpoint_c:g} °C was acknowledged but {self.cooler_setpoint_c:g} °C is kept"
                )
            self._switch_cooler(True)

    def stop_cooling(self) -> None:
        """Switch the cooler off."""
        self._switch_cooler(False)

    def _switch_cooler(self, on: bool) -> None:
        with self.lock:
            self.command(Message.SET_COOLER_ON, bytes([on]))
            if self.cooler_on != on:
                raise RefusedError(self.device, f"the cooler stays {'off' if on else 'on'}; check its supply")

    def _flag(self, message: Message) -> bool:
        with self.lock:
            value = self._whole(message, "<B")
            if value not in (0, 1):
                raise self.bad_reply(message.name, str(value), "0 or 1")
            return value == 1

    def _number(self, message: Message) -> float:
        with self.lock:
            value = float(self._unpacked(message, "<f"))
            if not abs(value) < float("inf"):
                raise self.bad_reply(message.name, str(value), "a finite number")
            return value


class OceanSTS(OceanSpectrometer):
    """Ocean STS: 1024 pixels of 14 bits, over RS-232 or USB."""

    model: ClassVar[str] = "ocean-sts"
    kind: ClassVar[OceanModel] = STS

    def __init__(self, adapter: str | Adapter, name: str = "Ocean STS", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)
