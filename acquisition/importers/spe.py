"""Princeton Instruments SPE files: 3.x of LightField (binary frames and an XML footer) and 2.x of WinSpec.

Layout from the manufacturer's "SPE 3.0 File Format Specification" and "WinSpec SPE file format": a header of 4100
bytes, frames one after another, each followed by its own metadata (time stamps), and at the end the XML, whose place is
in the header.
"""

import math
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halidescope.acquisition.importers.foreign import foreign_scan
from halidescope.acquisition.importers.xml_texts import parse_xml
from halidescope.acquisition.problems import ScanFileError
from halidescope.acquisition.quantities import to_nm
from halidescope.acquisition.scan import Scan

HEADER = 4100
_VERSION_AT, _XML_AT, _TYPE_AT, _WIDTH_AT, _HEIGHT_AT, _FRAMES_AT = 1992, 678, 108, 42, 656, 1446
_TYPES_2 = {0: "<f4", 1: "<i4", 2: "<i2", 3: "<u2", 5: "<f8", 6: "<u1", 8: "<u4"}
_TYPES_3 = {"MonochromeUnsigned16": "<u2", "MonochromeUnsigned32": "<u4", "MonochromeFloating32": "<f4",
            "MonochromeFloating64": "<f8"}


def is_spe(path: Path, start: bytes) -> bool:
    """A WinSpec or LightField header: the version number where it must be, and the ending."""
    if path.suffix.lower() != ".spe" or len(start) < _VERSION_AT + 4:
        return False
    (version,) = struct.unpack_from("<f", start, _VERSION_AT)
    return 1.0 <= version < 10.0


def read_spe(path: Path) -> Scan:
    """Frames as a series in time (one row each), or rows of frames; raises ScanFileError with what is wrong."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScanFileError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if len(data) < HEADER:
        raise ScanFileError(f"{path}: SPE file of {len(data)} bytes, its header alone has {HEADER}; it was cut off")
    (version,) = struct.unpack_from("<f", data, _VERSION_AT)
    try:
        return _lightfield(path, data) if version >= 3.0 else _winspec(path, data)
    except (ValueError, OverflowError, MemoryError, struct.error) as error:
        raise ScanFileError(f"{path}: its numbers make no sense ({error}); the file is damaged") from error


@dataclass(frozen=True)
class _Region:
    width: int
    height: int
    offset: int         # within a frame, bytes
    start: int          # first column of the sensor
    binning: int


def _lightfield(path: Path, data: bytes) -> Scan:
    (at,) = struct.unpack_from("<Q", data, _XML_AT)
    if not HEADER <= at < len(data):
        raise ScanFileError(f"{path}: SPE 3 without its XML part (at byte {at} of {len(data)}); the file was cut off")
    root = parse_xml(data[at:], f"{path} (XML part)")
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]      # namespaces differ between versions
    frame = root.find("DataFormat/DataBlock[@type='Frame']")
    if frame is None:
        raise ScanFileError(f"{path}: its XML part names no frames; the file is damaged")
    try:
        kind = _TYPES_3[frame.attrib["pixelFormat"]]
        count, size, stride = (int(frame.attrib[name]) for name in ("count", "size", "stride"))
        regions = list(_regions(root, frame, np.dtype(kind).itemsize))
    except (KeyError, ValueError) as error:
        raise ScanFileError(f"{path}: its XML part does not describe its frames ({error})") from error
    if not regions or count < 1 or stride < size or any(r.width < 1 or r.height < 1 for r in regions):
        raise ScanFileError(f"{path}: its XML part describes impossible frames; the file is damaged")
    first = regions[0]
    if any((r.width, r.start, r.binning) != (first.width, first.start, first.binning) for r in regions):
        raise ScanFileError(
            f"{path}: {len(regions)} regions of interest with different columns; export them one by one from LightField"
        )
    if HEADER + stride * (count - 1) + size > at:
        raise ScanFileError(f"{path}: {count} frames announced, but only {(at - HEADER) // stride} are there; cut off")
    rows = sum(region.height for region in regions)
    spectra = np.empty((count, rows, first.width), kind)
    for k in range(count):
        row = 0
        for region in regions:
            block = np.frombuffer(data, kind, region.width * region.height, HEADER + k * stride + region.offset)
            spectra[k, row : row + region.height] = block.reshape(region.height, region.width)
            row += region.height
    exposure_s = _number(root, ".//ShutterTiming/ExposureTime", 1e-3)
    stamps = _stamps(root, data, count, size, stride)
    return _scan(
        path, "Princeton SPE 3", spectra, _wavelengths(root, path, first), stamps, exposure_s,
        laser_nm=_number(root, ".//Calibrations/*[@laserLine]", 1.0), started_at=_created(root),
        said={"software": _attribute(root, ".//DataHistory/Origin", "software"), "created": _created(root),
              "camera": _attribute(root, ".//Camera", "model"),
              "serial": _attribute(root, ".//Camera", "serialNumber")},
    )


def _regions(root: ET.Element, frame: ET.Element, pixel: int) -> Iterator[_Region]:
    """Regions of a frame, with the columns of the sensor that they come from."""
    mappings = {element.get("id"): element for element in root.findall("Calibrations/SensorMapping")}
    offset = 0
    for block in frame.findall("DataBlock[@type='Region']"):
        width, height = int(block.attrib["width"]), int(block.attrib["height"])
        chosen = [mappings[name] for name in block.get("calibrations", "").split(",") if name in mappings]
        start = int(chosen[0].get("x", 0)) if chosen else 0
        binning = int(chosen[0].get("xBinning", 1)) if chosen else 1
        yield _Region(width, height, offset, start, max(binning, 1))
        offset += int(block.get("stride", width * height * pixel))


def _wavelengths(root: ET.Element, path: Path, region: _Region) -> NDArray[np.float64]:
    """Wavelengths of a region's columns from the sensor's, which is calibrated as a whole."""
    mapping = root.find("Calibrations/WavelengthMapping")
    texts = {} if mapping is None else {child.tag: child.text or "" for child in mapping}
    try:
        if "Wavelength" in texts:
            values = [float(word) for word in texts["Wavelength"].split(",")]
        elif "WavelengthError" in texts:      # pairs: wavelength, error
            values = [float(pair.split(",")[0]) for pair in texts["WavelengthError"].split()]
        else:
            raise ScanFileError(
                f"{path}: holds no wavelength calibration; calibrate in LightField, or declare it in a layout file "
                f"{path.name}.toml"
            )
    except ValueError as error:
        raise ScanFileError(f"{path}: its wavelength calibration cannot be read ({error})") from error
    sensor = np.array(values)
    if len(sensor) == region.width:
        return to_nm(sensor, "nm", str(path))
    end = region.start + region.width * region.binning
    if end > len(sensor):
        raise ScanFileError(f"{path}: {len(sensor)} calibrated columns, the region ends at {end}; the file is damaged")
    return to_nm(sensor[region.start : end].reshape(region.width, region.binning).mean(axis=1), "nm", str(path))


def _stamps(root: ET.Element, data: bytes, count: int, size: int, stride: int) -> NDArray[np.float64] | None:
    """Starts of the exposures in s after the first, from the metadata behind each frame; None if there are none."""
    at = size
    for element in root.find("MetaFormat/MetaBlock") or ():
        width = int(element.get("bitDepth", "64")) // 8
        if element.tag == "TimeStamp" and element.get("event") == "ExposureStarted" and width == 8:
            per_second = float(element.get("resolution", "1"))
            if at + 8 > stride or per_second <= 0 or not math.isfinite(per_second):
                return None
            ticks = np.array([struct.unpack_from("<q", data, HEADER + k * stride + at)[0] for k in range(count)])
            return (ticks - ticks[0]) / per_second
        at += width
    return None


def _number(root: ET.Element, where: str, factor: float) -> float | None:
    element = root.find(where)
    text = None if element is None else element.get("laserLine", element.text)
    try:
        return float(text or "") * factor
    except ValueError:
        return None      # absent, or not set by the program


def _attribute(root: ET.Element, where: str, name: str) -> str:
    element = root.find(where)
    return "" if element is None else element.get(name, "")


def _created(root: ET.Element) -> str:
    return _attribute(root, ".//DataHistory/Origin", "created")


def _winspec(path: Path, data: bytes) -> Scan:
    (code,) = struct.unpack_from("<h", data, _TYPE_AT)
    width, height = struct.unpack_from("<H", data, _WIDTH_AT)[0], struct.unpack_from("<H", data, _HEIGHT_AT)[0]
    (frames,) = struct.unpack_from("<i", data, _FRAMES_AT)
    kind = _TYPES_2.get(code)
    if kind is None or width < 1 or height < 1 or frames < 1:
        raise ScanFileError(f"{path}: impossible SPE header (type {code}, {width} × {height}, {frames} frames)")
    number = width * height * frames
    if HEADER + number * np.dtype(kind).itemsize > len(data):
        raise ScanFileError(f"{path}: {frames} frames announced, but the file ends before; it was cut off")
    valid, order = data[3098], data[3101]
    if not valid or order > 5:
        raise ScanFileError(
            f"{path}: holds no wavelength calibration; calibrate in WinSpec, or declare it in a layout file "
            f"{path.name}.toml"
        )
    unit = {5: "nm", 9: "1/cm", 6: "1/cm", 7: "1/cm"}.get(data[3100], "nm")
    coefficients = struct.unpack_from("<6d", data, 3263)[: order + 1]
    axis = np.polynomial.polynomial.polyval(np.arange(1, width + 1, dtype=np.float64), coefficients)
    (exposure_s,) = struct.unpack_from("<f", data, 10)
    (laser_nm,) = struct.unpack_from("<d", data, 3311)
    raman = data[3100] in (6, 9) and laser_nm > 0
    spectra = np.frombuffer(data, kind, number, HEADER).reshape(frames, height, width)
    said: dict[str, object] = {"date": data[20:30].split(b"\0")[0].decode("latin-1")}
    wavelength_nm = to_nm(axis, unit, str(path), excitation_nm=laser_nm if raman else None)
    return _scan(
        path, "Princeton SPE 2", spectra, wavelength_nm, None, exposure_s if exposure_s > 0 else None,
        laser_nm=laser_nm if raman else None, started_at="", said=said,
    )


def _scan(
    path: Path, form: str, spectra: NDArray, wavelength_nm: NDArray[np.float64], stamps_s: NDArray | None,
    exposure_s: float | None, *, laser_nm: float | None, started_at: str, said: dict[str, object],
) -> Scan:
    """Frames × rows × columns as a scan: a series in time, rows of the sensor side by side if there are several."""
    frames, rows, _ = spectra.shape
    time_s = None if stamps_s is None else stamps_s + 0.5 * (exposure_s or 0.0)
    along = {"time": time_s} if time_s is not None and frames > 1 else {"spectrum": np.arange(frames, dtype=np.float64)}
    axes = {**along, **({"row": np.arange(rows, dtype=np.float64)} if rows > 1 else {})}
    times = None if time_s is None else np.repeat(time_s, rows).reshape(tuple(len(axis) for axis in axes.values()))
    return foreign_scan(
        source=str(path), form=form, spectra=spectra if rows > 1 else spectra[:, 0], wavelength_nm=wavelength_nm,
        axes=axes, time_s=times, exposure_s=exposure_s, laser_wavelength_nm=laser_nm, started_at=started_at, said=said,
    )
