"""Writers of other programs' files, made from the formats' descriptions and sharing nothing with our readers."""

import struct
from pathlib import Path

import numpy as np


def write_spe3(
    path: Path, frames: np.ndarray, wavelength_nm: np.ndarray, *, exposure_ms: float = 250.0,
    starts_us: list[int] | None = None, sensor_x: int = 0, pixel_format: str = "MonochromeUnsigned16",
) -> None:
    """LightField: frames (n, rows, columns); wavelengths of the whole sensor."""
    count, rows, columns = frames.shape
    size = rows * columns * frames.dtype.itemsize
    stride = size + (8 if starts_us else 0)
    header = bytearray(4100)
    struct.pack_into("<f", header, 1992, 3.0)
    struct.pack_into("<H", header, 42, columns)
    struct.pack_into("<H", header, 656, rows)
    struct.pack_into("<i", header, 1446, count)
    struct.pack_into("<h", header, 108, {"MonochromeUnsigned16": 3, "MonochromeFloating32": 0}[pixel_format])
    struct.pack_into("<Q", header, 678, 4100 + count * stride)
    body = bytearray()
    for k in range(count):
        body += frames[k].tobytes()
        if starts_us:
            body += struct.pack("<q", starts_us[k])
    meta = ('<MetaFormat><MetaBlock id="2"><TimeStamp event="ExposureStarted" type="Int64" bitDepth="64" '
            'resolution="1000000" absoluteTime="2024-03-01T10:00:00.0+01:00"/></MetaBlock></MetaFormat>')
    xml = f"""<SpeFormat version="3.0" xmlns="http://www.princetoninstruments.com/spe/2009"><DataFormat>
<DataBlock type="Frame" count="{count}" pixelFormat="{pixel_format}" size="{size}" stride="{stride}" metaFormat="2">
<DataBlock type="Region" count="1" width="{columns}" height="{rows}" size="{size}" stride="{size}" calibrations="1,3"/>
</DataBlock></DataFormat>{meta if starts_us else ""}<Calibrations>
<WavelengthMapping id="1"><Wavelength>{",".join(map(repr, wavelength_nm.tolist()))}</Wavelength></WavelengthMapping>
<SensorMapping id="3" x="{sensor_x}" y="0" width="{columns}" height="{rows}" xBinning="1" yBinning="1"/>
</Calibrations><DataHistories><DataHistory><Origin software="LightField" created="2024-03-01T10:00:00Z"><Experiment>
<Devices><Cameras><Camera model="PIXIS: 400B" serialNumber="0815"><ShutterTiming>
<ExposureTime type="Double">{exposure_ms}</ExposureTime></ShutterTiming></Camera></Cameras></Devices>
</Experiment></Origin></DataHistory></DataHistories></SpeFormat>"""
    path.write_bytes(bytes(header) + bytes(body) + xml.encode())


def write_spe2(path: Path, frames: np.ndarray, coefficients: list[float], *, exposure_s: float = 0.5) -> None:
    """WinSpec: unsigned 16-bit frames (n, rows, columns) and a polynomial of the pixel, counted from 1."""
    count, rows, columns = frames.shape
    header = bytearray(4100)
    struct.pack_into("<f", header, 1992, 2.5)
    struct.pack_into("<f", header, 10, exposure_s)
    header[20:29] = b"01Mar2012"
    struct.pack_into("<H", header, 42, columns)
    struct.pack_into("<H", header, 656, rows)
    struct.pack_into("<i", header, 1446, count)
    struct.pack_into("<h", header, 108, 3)
    header[3098], header[3100], header[3101] = 1, 5, len(coefficients) - 1
    struct.pack_into(f"<{len(coefficients)}d", header, 3263, *coefficients)
    path.write_bytes(bytes(header) + frames.astype("<u2").tobytes())


def write_sif(
    path: Path, frames: np.ndarray, coefficients: list[float], *, exposure_s: float = 0.2,
    stamps_us: list[int] | None = None, axis: str = "Wavelength", version: int = 65559,
) -> None:
    """Solis: frames (n, rows, columns) of 32-bit floats."""
    count, rows, columns = frames.shape
    text = b"\n".join([
        b"Andor Technology Multi-Channel File", b"65538 1",
        f"{version} 0 0 1 1540956289 -60 ".encode() + b" " * 10
        + f"0 {exposure_s} 0.5 0.5 1 \x00 0.5 1e-06 0 1 1 0 0 0 ".encode() + b"0 " * 16 + b"500 1 0 1 0 0",
        b"DU420A_BR_DD", f"{columns} {rows} 8".encode(), b"test.sif ", b"65538 0", b"",
        b"65538 \x01 \x02 \x03 \x04 0.02 0.02", b"",
    ])
    text += b"line\n" * 8 + b"0 SR303i 0\n"
    text += b"65539 " + b" ".join(repr(one).encode() for one in coefficients) + b"\n"
    text += b"0 1 0 0\n0 1 0 0\n532.0\n422\n13\n6.5\n"
    for word in (axis, "Counts", "Pixel number"):
        text += f"{len(word)}\n{word}".encode()
    text += f"65541 1 {rows} {columns} 1 {count} 1 {count * rows * columns} {rows * columns}\n".encode()
    text += f"65538 1 {rows} {columns} 1 1 1 0\n".encode()
    for stamp in stamps_us or [0] * count:
        text += f"{stamp}\n".encode()
    path.write_bytes(text + b"0\n" + frames.astype("<f4").tobytes())
