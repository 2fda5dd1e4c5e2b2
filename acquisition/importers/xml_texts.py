"""XML of other programs, read with suspicion: no document types, so no entities that grow or point elsewhere."""

import xml.etree.ElementTree as ET

from halidescope.acquisition.problems import ScanFileError


def parse_xml(data: bytes, what: str) -> ET.Element:
    """The root of an XML text; raises ScanFileError naming ``what``."""
    text = data.strip(b"\x00 \t\r\n")
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ScanFileError(f"{what}: declares a document type, which no measurement has; it is not opened")
    try:
        return ET.fromstring(text)
    except (ET.ParseError, LookupError, ValueError) as error:
        raise ScanFileError(f"{what}: not readable XML ({error}); the file is damaged or was cut off") from error
