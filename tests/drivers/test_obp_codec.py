"""The codec of the Ocean Binary Protocol: bytes to frames and back, whatever the bytes and however they are split."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halidescope.drivers import obp
from halidescope.drivers.obp import Checksum, Flag, Frame, FrameError, FrameStream

FRAMES = st.builds(
    Frame,
    message=st.integers(0, 0xFFFFFFFF),
    data=st.one_of(st.binary(max_size=16), st.binary(max_size=400)),
    flags=st.integers(0, 0x7F).map(Flag),
    error=st.integers(0, 0xFFFF),
    regarding=st.integers(0, 0xFFFFFFFF),
    checksum=st.sampled_from(Checksum),
)
JUNK = st.binary(max_size=40).map(lambda junk: junk.replace(b"\xc1", b""))   # nothing that could start a message


def test_the_data_sheets_example():
    """QE Pro data sheet page 26: set 100 ms without acknowledgement."""
    header = "c1c0 0011 0000 0000 10001100 00000000 000000000000 00 04 a0860100" + 12 * "00"
    expected = bytes.fromhex(header + "14000000" + 16 * "00" + "c5c4c3c2")
    assert obp.encode(Frame(0x00110010, (100_000).to_bytes(4, "little"))) == expected
    assert obp.decode(expected).data == bytes.fromhex("a0860100")


@given(FRAMES)
def test_a_frame_comes_back(frame):
    assert obp.decode(obp.encode(frame)) == frame


@given(FRAMES, st.data())
def test_a_flipped_bit_under_md5_is_found(frame, data):
    message = bytearray(obp.encode(Frame(frame.message, frame.data, regarding=frame.regarding, checksum=Checksum.MD5)))
    # the checksum type itself (byte 22) is the one thing that a checksum cannot protect
    bit = data.draw(st.integers(0, len(message) * 8 - 1).filter(lambda index: index // 8 != 22))
    message[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameError):
        obp.decode(bytes(message))


@given(FRAMES, st.integers(1, 500))
def test_a_truncated_message_is_no_frame(frame, missing):
    message = obp.encode(frame)
    with pytest.raises(FrameError):
        obp.decode(message[:-missing])


@given(st.binary(max_size=300))
def test_random_bytes_are_no_frame(data):
    with pytest.raises(FrameError):
        obp.decode(data)


@given(st.binary(min_size=42, max_size=42), st.binary(max_size=60))
def test_any_header_is_an_error_or_a_frame_that_encodes_to_the_same_content(header, rest):
    message = b"\xc1\xc0\x00\x11" + header[2:] + rest
    try:
        frame = obp.decode(message)
    except FrameError:
        return
    assert obp.decode(obp.encode(frame)) == frame


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


@settings(max_examples=50)
@given(st.lists(FRAMES, max_size=4), st.lists(st.integers(0, 5000), max_size=20))
def test_a_stream_gives_every_frame_however_it_is_split(frames, cuts):
    stream = FrameStream()
    found = [frame for piece in split(b"".join(map(obp.encode, frames)), cuts) for frame in stream.feed(piece)]
    assert found == frames
    assert stream.skipped_bytes == 0


@settings(max_examples=50)
@given(FRAMES, JUNK, st.lists(st.integers(0, 500), max_size=9))
def test_a_stream_finds_the_frame_behind_junk(frame, junk, cuts):
    stream = FrameStream()
    found = [each for piece in split(junk + obp.encode(frame), cuts) for each in stream.feed(piece)]
    assert found == [frame]
    assert stream.skipped_bytes == len(junk)


@settings(max_examples=50)
@given(st.binary(max_size=200), st.lists(st.integers(0, 500), max_size=9))
def test_a_stream_of_anything_ends(junk, cuts):
    stream = FrameStream()
    for piece in split(junk, cuts):
        stream.feed(piece)
    assert stream.skipped_bytes <= len(junk)


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (0, b"\x00\x00", "starts with"),
        (2, b"\x00\x20", "protocol version 0x2000"),
        (22, b"\x02", "checksum type 2"),
        (23, b"\x11", "17 bytes of immediate data"),
        (40, b"\x00\x00\x00\x00", "0 bytes remaining"),
        (40, b"\xff\xff\xff\xff", "4294967295 bytes remaining"),
        (60, b"\x00", "ends with"),
    ],
)
def test_a_broken_frame_says_what_is_broken(offset, value, words):
    message = bytearray(obp.encode(Frame(1)))
    message[offset : offset + len(value)] = value
    with pytest.raises(FrameError, match=words):
        obp.decode(bytes(message))


@pytest.mark.parametrize(
    ("number", "words"),
    [(6, "error 6, value not allowed"), (101, "error 101, firmware loader"), (77, "error 77, not in the list")],
)
def test_error_numbers_in_words(number, words):
    assert words in obp.error_words(number)
