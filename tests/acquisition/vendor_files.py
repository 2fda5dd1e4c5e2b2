"""Writers of other programs' files, made from the formats' descriptions and sharing nothing with our readers."""

import struct
from pathlib import Path
from xml.sax.saxutils import escape

import h5py
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


def write_wdf(
    path: Path, spectra: np.ndarray, axis: np.ndarray, *, unit: int = 3, places_um: np.ndarray | None = None,
    starts_s: np.ndarray | None = None, shape: tuple[int, int] = (0, 0), flag: int = 0,
) -> None:
    """WiRE: spectra (n, channels) in the order of taking; with places (n, 2) a map of shape (ny, nx), else a series.

    ``unit`` 1 is a Raman shift in 1/cm, 3 nm, 4 eV; ``flag`` 4 is a map whose lines alternate.
    """
    count, channels = spectra.shape
    single = places_um is None and starts_s is None
    origins = []
    ticks = np.full(count, 133_000_000_000_000_000, "<u8")
    if starts_s is not None:
        ticks += np.round(1e7 * starts_s).astype("<u8")
    if not single:
        origins.append((11, 24, ticks.tobytes()))
    if places_um is not None:
        origins += [(0x8000_0003, 5, places_um[:, 0].astype("<f8").tobytes()),
                    (0x8000_0004, 5, places_um[:, 1].astype("<f8").tobytes())]

    def block(name: bytes, number: int, content: bytes) -> bytes:
        return struct.pack("<4sIQ", name, number, 16 + len(content)) + content

    kind = 1 if single else 3 if places_um is not None else 2
    head = struct.pack("<Q4I3III", 0, 1, 2, 3, 4, 0, 0, 0, 1, 0)
    head += struct.pack("<IQQIIII", channels, count, count, 1, 1, channels, len(origins))
    head += b"WiRE".ljust(24, b"\0") + struct.pack("<4HII", 5, 2, 0, 0, 1, kind)
    head += struct.pack("<QQIf6Q", int(ticks[0]), int(ticks[-1]), 6, 1e7 / 532.0, *[0] * 6)
    head += b"somebody".ljust(32, b"\0") + b"film 12".ljust(160, b"\0")
    data = block(b"WDF1", 1, head.ljust(496, b"\0"))
    data += block(b"DATA", 0, spectra.astype("<f4").tobytes())
    data += block(b"YLST", 0, struct.pack("<IIf", 0, 16, 1.0))
    data += block(b"XLST", 0, struct.pack("<II", 1, unit) + axis.astype("<f4").tobytes())
    if origins:
        listed = b"".join(struct.pack("<II16s", what, given, b"") + content for what, given, content in origins)
        data += block(b"ORGN", 0, struct.pack("<I", len(origins)) + listed)
    if places_um is not None:
        x, y = (np.unique(places_um[:, k]) for k in (0, 1))
        data += block(b"WMAP", 0, struct.pack(
            "<II6f4I", flag, 0, x[0], y[0], 0.0, x[1] - x[0], y[1] - y[0], 1.0, shape[1], shape[0], 1, 0))
    path.write_bytes(data)


def write_trivista(
    path: Path, frames: np.ndarray, wavelength_nm: np.ndarray, *, stamps_s: np.ndarray,
    x: tuple[float, float, int] | None = None, y: tuple[float, float, int] | None = None,
) -> None:
    """TriVista: frames (n, channels); ``x`` and ``y`` are start, step in µm and number of points of a map."""

    def group(name: str, **items: object) -> str:
        inside = "".join(f'<Item Name="{key}" Value="{value}"/>' for key, value in items.items())
        return f'<Group Name="{name}"><Items>{inside}</Items><Groups/></Group>'

    groups = [
        group("Detector", **{"Name": "PIXIS", "No_of_Frames": len(frames), "Exposure_Time_(ms)": 500,
                             "No_of_Accumulations": 1, "Calc_Average": False, "Detector_Temperature": -70}),
        group("Calibration", Laser_Wavelength=532.0, Center_Wavelength=550.0),
        group("Experiment", Used_Setup="single"),
    ]
    for name, axis in (("X-Axis", x), ("Y-Axis", y)):
        if axis is not None:
            groups.append(group(name, From=axis[0], Step=axis[1], Points=axis[2]))
    spectrometers = '<Group Name="Spectrometers"><Items/><Groups>' + "".join(
        group(f"Spectrometer{k}", Serialnumber=f"S{k}", Groove_Density="300 g/mm", Model="SP2750") for k in (1, 2)
    ) + "</Groups></Group>"
    info = escape(f"<Info><Groups>{''.join(groups)}{spectrometers}</Groups></Info>", {'"': "&quot;"})
    objectives = "".join(f'<Objective Magnification="{m}" IsEnabled="{e}"/>' for m, e in ((50, True), (100, False)))
    gratings = '<Grating GrooveDensity="300 g/mm" Blaze="500NM"/><Grating GrooveDensity="600 g/mm" Blaze="750NM"/>'
    hardware = (
        '<LightSources><LightSource Name="a"><Wavelengths Value_0="532.0"/></LightSource>'
        '<LightSource Name="b"><Wavelengths Value_0="405.0"/></LightSource></LightSources>'
        '<Detectors><Detector Name="PIXIS"/><Detector Name="PMT"/></Detectors><Microscopes>'
        + f'<Microscope Name="m"><Objectives>{objectives}</Objectives></Microscope>' * 2
        + "</Microscopes><Spectrometers>"
        + "".join(f'<Spectrometer Serialnumber="S{k}"><Gratings>{gratings}</Gratings></Spectrometer>' for k in (1, 2))
        + "</Spectrometers>"
    )
    listed = "".join(
        f'<Frame TimeStamp="{133_000_000_000_000_000 + round(1e7 * at)}">{";".join(map(repr, frame.tolist()))}</Frame>'
        for at, frame in zip(stamps_s, frames, strict=True)
    )
    values = "|".join(map(repr, [len(wavelength_nm), *wavelength_nm.tolist()]))
    path.write_text(
        f'<?xml version="1.0"?><XmlMain FileInfoSerialized="&lt;Info/&gt;"><Hardware>{hardware}</Hardware><Documents>'
        f'<Document Label="Intensity" DataLabel="Counts" RecordTime="03/01/2024 10:00:00.0" InfoSerialized="{info}">'
        f'<Data>{listed}</Data><xDim><Calibration Unit="Nanometer" ValueArray="{values}"/></xDim><Childs Count="0"/>'
        "</Document></Documents></XmlMain>", encoding="utf-8",
    )


def write_hamamatsu(path: Path, image: np.ndarray, wavelength_nm: np.ndarray, time_ns: np.ndarray) -> None:
    """HPD-TA: an image (times, wavelengths) of a streak camera, the axes' tables behind it."""
    lines, width = image.shape
    behind = [0, 0]
    for _ in range(3):      # the comment holds addresses, and the addresses depend on its length
        comment = (
            '[Application],Date="01/03/2024",Time="10:00:00.0",Software="HPD-TA"\r\n'
            '[Acquisition],NrExposure=1,ExposureTime="500 ms",AcqMode=4,pntBinning="1,1",ZAxisLabel=Intensity,'
            'ZAxisUnit=Count\r\n[Streak camera],DeviceName="C5680",MCP Gain="10",Time Range="10 ns"\r\n'
            '[Spectrograph],DeviceName="A",Wavelength="550",Grating="300 g/mm",Blaze="500",Ruling="300"\r\n'
            f'[Scaling],ScalingXType=2,ScalingXUnit="nm",ScalingXScalingFile="#{behind[0]:06d},{width:06d}",'
            f'ScalingYType=2,ScalingYUnit="ns",ScalingYScalingFile="#{behind[1]:06d},{lines:06d}"'
        ).encode()
        start = 64 + len(comment) + 2 * image.size
        behind = [start, start + 4 * width]
    head = b"IM" + struct.pack("<hhhhhhihhd", len(comment), width, lines, 0, 0, 2, 1, 0, 0, 0.0)
    path.write_bytes(
        head + b"\0" * 34 + comment + image.astype("<u2").tobytes() + wavelength_nm.astype("<f4").tobytes()
        + time_ns.astype("<f4").tobytes()
    )


def write_delmic(
    path: Path, cube: np.ndarray, wavelength_nm: np.ndarray, *, step_um: float, centre_um: tuple[float, float]
) -> None:
    """Odemis: a cube (rows, columns, wavelengths) whose first row is the topmost; lengths in m, the centre's place."""
    with h5py.File(path, "w") as file:
        one = file.create_group("Acquisition0")
        one["SVIData/Company"], one["SVIData/WriterVersion"] = "Delmic", "3.0"
        for name, value in (("Title", "Spectrum"), ("ChannelDescription", "Spectrum")):
            one[f"PhysicalData/{name}"] = value
            one[f"PhysicalData/{name}"].attrs["State"] = np.array([3])
        data = one.create_group("ImageData")
        image = data.create_dataset("Image", data=np.moveaxis(cube, -1, 0)[:, None, None].astype("<u2"))
        for dimension, label in zip(image.dims, "CTZYX", strict=True):
            dimension.label = label
        data["DimensionScaleC"] = 1e-9 * wavelength_nm
        data["DimensionScaleX"] = data["DimensionScaleY"] = 1e-6 * step_um
        data["XOffset"], data["YOffset"] = 1e-6 * centre_um[0], 1e-6 * centre_um[1]
        data["TOffset"] = 1_709_283_600.0
