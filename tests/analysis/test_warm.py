"""After the warm-up nothing is left to compile."""

import gc

import numpy as np
import pytest
from numba.core import event

from halidescope.analysis.cosmic import find_cosmic_rays
from halidescope.analysis.detector import Detector
from halidescope.analysis.online import OnlineSeries
from halidescope.analysis.peaks import fit_peaks
from halidescope.analysis.readable import for_kernels
from halidescope.analysis.series import analyse_series
from halidescope.analysis.unmixing import unmix
from halidescope.analysis.warm import warm_up


class Compilations(event.Listener):
    def __init__(self):
        self.names = []

    def on_start(self, event):
        self.names.append(str(event.data["dispatcher"]))

    def on_end(self, event):
        return


def test_an_analysis_after_the_warm_up_compiles_nothing():
    warm_up()
    axis = np.linspace(450, 700, 300)
    references = np.exp(-0.5 * ((axis - np.array([[585.0], [513.0]])) / 12) ** 2)
    time = np.arange(40) * 5.0
    share = 1 - 0.7 * np.exp(-0.03 * time) - 0.3 * np.exp(-0.002 * time)
    shapes = references / references.sum(axis=1, keepdims=True)
    counts = np.random.default_rng(1).poisson(1e5 * np.stack([1 - share, share], axis=1) @ shapes).astype(np.uint16)
    compilations = Compilations()
    event.register("numba:compile", compilations)
    try:
        online = OnlineSeries(axis, references, ("pristine", "reconstructed"), read_noise=2.0)
        online.add(np.arange(40), time, counts, np.zeros(300))
        assert online.fit() is not None
        detector = Detector(read_noise=2.0, saturation=60_000)
        analyse_series(time, counts, references, references_se=1e-4, detector=detector)
        find_cosmic_rays(counts)
        fine = np.linspace(450, 700, 2048)
        many = np.exp(-0.5 * ((fine - np.array([[585.0], [513.0], [640.0]])) / 12) ** 2)
        unmix(np.rint(1000 * many).astype(np.uint16), many, noise="poisson")
        fit_peaks(1239.84 / axis, counts, noise="poisson")
        fit_peaks(1239.84 / axis, counts.astype(float), model="voigt")
    finally:
        event.unregister("numba:compile", compilations)
    assert compilations.names == []


@pytest.mark.parametrize("kind", [np.uint16, np.float64])
def test_a_memory_map_opened_for_reading_is_analysed_without_a_compiler_and_a_copy(tmp_path, kind):
    warm_up()
    axis = np.linspace(1.8, 2.6, 512)
    references = np.exp(-0.5 * ((axis - np.array([[2.1], [2.4]])) / 0.05) ** 2)
    counts = np.random.default_rng(2).poisson(1000 * references.sum(axis=0) + 20, (20, 512)).astype(kind)

    def mapped(name, array):
        np.save(tmp_path / name, array)
        return np.load(tmp_path / name, mmap_mode="r")      # a write into it would end the process

    held, shapes, energy = mapped("a.npy", counts), mapped("b.npy", references), mapped("c.npy", axis)
    darks = mapped("d.npy", np.zeros(counts.shape))
    assert np.shares_memory(for_kernels(held), held)
    plain = [unmix(counts, references, noise="poisson").amplitudes, fit_peaks(axis, counts, noise="poisson").centre]
    compilations = Compilations()
    event.register("numba:compile", compilations)
    try:
        unmix(held, shapes)
        unmix(held, shapes, noise="poisson", dark=darks, saturation=60_000)
        found = [unmix(held, shapes, noise="poisson").amplitudes, fit_peaks(energy, held, noise="poisson").centre]
        find_cosmic_rays(held, dark=darks[0])
    finally:
        event.unregister("numba:compile", compilations)
    assert compilations.names == []
    np.testing.assert_array_equal(found[0], plain[0])
    np.testing.assert_array_equal(found[1], plain[1])


def test_memory_outlives_the_array_that_it_came_from():
    array = np.arange(1000.0)
    array.flags.writeable = False
    view = for_kernels(array)
    del array
    gc.collect()
    assert view.sum() == 499_500
    assert view.flags.writeable
