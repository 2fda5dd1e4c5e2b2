"""Spectra pass through shared memory whole, in order, and a slow reader is told what it lost."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from halidescope.acquisition.problems import ProblemError
from halidescope.acquisition.ring import RingReader, RingSpectrum, RingWriter


def spectrum(sequence: int, pixels: int = 64) -> RingSpectrum:
    """Every pixel holds the sequence number, so that a torn spectrum shows."""
    counts = np.full(pixels, sequence, np.uint32)
    odd = sequence % 2 == 1
    return RingSpectrum(sequence, 1, sequence, 0.5 * sequence, 1.0, 2.0, 5.0, 0.2, 0.1, 100.0, odd, counts)


@pytest.fixture
def ring():
    writer = RingWriter(slots=8, capacity=128)
    writer.set_axis(np.linspace(500.0, 600.0, 64))
    reader = RingReader.attach(writer.name)
    yield writer, reader
    reader.close()
    writer.close()


def test_what_is_written_is_read(ring):
    writer, reader = ring
    assert reader.newest() is None
    assert np.array_equal(reader.wavelength_nm, np.linspace(500.0, 600.0, 64))
    for k in range(5):
        writer.write(spectrum(k))
    newest = reader.newest()
    assert (newest.sequence, newest.index, newest.time_s, newest.saturated) == (4, 4, 2.0, False)
    assert np.all(newest.counts == 4)
    spectra, lost = reader.since(2)
    assert [one.sequence for one in spectra] == [2, 3, 4]
    assert lost == 0


def test_a_slow_reader_is_told_what_it_lost(ring):
    writer, reader = ring
    for k in range(20):
        writer.write(spectrum(k))
    spectra, lost = reader.since(3)
    assert [one.sequence for one in spectra] == list(range(12, 20))
    assert lost == 9


def test_no_torn_spectrum_is_ever_given(ring):
    writer, reader = ring
    stop = threading.Event()

    def write():
        k = 0
        while not stop.is_set():
            writer.write(spectrum(k))
            k += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        seen, following = 0, 0
        while seen < 500:
            spectra, lost = reader.since(following)
            for one in spectra:
                assert np.all(one.counts == one.sequence)
            following += len(spectra) + lost
            seen += len(spectra)
    finally:
        stop.set()
        thread.join()


def test_another_process_reads_without_taking_the_ring_away(ring):
    writer, _ = ring
    writer.write(spectrum(0))
    program = (
        "import sys; from halidescope.acquisition.ring import RingReader\n"
        "ring = RingReader.attach(sys.argv[1]); print(ring.newest().counts.sum(), len(ring.wavelength_nm))"
    )
    done = subprocess.run([sys.executable, "-c", program, writer.name], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "64"]
    assert done.stderr == ""
    RingReader.attach(writer.name).close()


def test_a_ring_that_ended_is_a_sentence():
    with pytest.raises(ProblemError, match="its engine has ended"):
        RingReader.attach("halidescope-nowhere")
