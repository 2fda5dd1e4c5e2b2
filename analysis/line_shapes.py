"""Line shapes of luminescence bands with their derivatives, compiled.

Every shape stands on a constant offset, the last parameter. Widths are in the unit of the axis.

========== ===================================================== ================================================
code       parameters                                            shape
========== ===================================================== ================================================
GAUSSIAN   amplitude, centre, sigma, offset                      A exp(−u²/2), u = (x − centre)/sigma
BIGAUSSIAN amplitude, centre, sigma, sigma_high, offset          sigma below, sigma_high above the centre
EMG        amplitude, centre, sigma, tau, offset                 the Gaussian convolved with an exponential tail to
                                                                 *low* x: ∫ e^(s/tau)/tau over s < 0
VOIGT      amplitude, centre, sigma, gamma, offset               Gaussian ∗ Lorentzian (half width gamma), height A
TWO        amplitude, centre, sigma, amplitude_2, centre_2,      sum of two Gaussians
           sigma_2, offset
========== ===================================================== ================================================
"""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

GAUSSIAN, BIGAUSSIAN, EMG, VOIGT, TWO = range(5)
HEIGHT, PLACE, WIDTH = range(3)     # what a parameter is: bounds and steps depend on it
ROOT_PI = math.sqrt(math.pi)
FAR = 9.0       # standard deviations, where a Gaussian is 3e-18 of its height: less than rounding

# J. A. C. Weideman, SIAM J. Numer. Anal. 31, 1497 (1994): w(z) as a polynomial of degree N − 1 in (L + iz)/(L − iz)
_ORDER = 32
_SCALE = math.sqrt(_ORDER / math.sqrt(2.0))


def _weideman() -> Array:
    nodes = 2 * _ORDER
    theta = np.arange(-nodes + 1, nodes) * np.pi / nodes
    t = _SCALE * np.tan(theta / 2)
    f = np.concatenate([[0.0], np.exp(-(t**2)) * (_SCALE**2 + t**2)])
    return np.real(np.fft.fft(np.fft.fftshift(f)))[1 : _ORDER + 1][::-1] / (2 * nodes)


_COEFFICIENTS = _weideman()


@njit(cache=True, nogil=True)
def faddeeva(z: complex) -> complex:
    """w(z) = exp(−z²) erfc(−iz) for Im z ≥ 0, relative error below 1e-11."""
    ratio = (_SCALE + 1j * z) / (_SCALE - 1j * z)
    total = 0.0 + 0.0j
    for coefficient in _COEFFICIENTS:
        total = total * ratio + coefficient
    return 2.0 * total / (_SCALE - 1j * z) ** 2 + (1.0 / ROOT_PI) / (_SCALE - 1j * z)


@njit(cache=True, nogil=True)
def erfcx(q: float) -> float:
    """exp(q²) erfc(q) for q ≥ 0."""
    if q < 8.0:
        return math.exp(q * q) * math.erfc(q)
    inverse = 0.5 / (q * q)
    series = 1.0
    for odd in (9.0, 7.0, 5.0, 3.0, 1.0):   # asymptotic: 1 − i (1 − 3 i (1 − 5 i (…)))
        series = 1.0 - odd * inverse * series
    return series / (q * ROOT_PI)


@njit(cache=True, nogil=True)
def gaussian_at(x: float, p: Array, first: int, width: int, slope: Array) -> float:
    """One Gaussian with height ``p[first]``, centre ``p[first + 1]``, width ``p[width]``."""
    z = (x - p[first + 1]) / p[width]
    if abs(z) > FAR:     # the slopes are zero already
        return 0.0
    bell = math.exp(-0.5 * z * z)
    slope[first] = bell
    slope[first + 1] = p[first] * bell * z / p[width]
    slope[width] = p[first] * bell * z * z / p[width]
    return p[first] * bell


@njit(cache=True, nogil=True)
def emg_at(x: float, p: Array, slope: Array) -> float:
    """Gaussian with an exponential tail to low x."""
    height, sigma, tau = p[0], p[2], p[3]
    a = sigma / tau
    u = (x - p[1]) / sigma
    q = (a + u) / math.sqrt(2.0)
    bell = math.exp(-0.5 * u * u)
    part = bell * erfcx(q) if q >= 0.0 else math.exp(min(a * (0.5 * a + u), 700.0)) * math.erfc(q)
    by_q = 2.0 * q * part - 2.0 / ROOT_PI * bell      # bell · d erfcx/dq
    factor = math.sqrt(0.5 * math.pi)
    by_u = height * factor * a * (-u * part + by_q / math.sqrt(2.0))
    by_a = height * factor * (part + a * by_q / math.sqrt(2.0))
    slope[0] = factor * a * part
    slope[1] = -by_u / sigma
    slope[2] = -by_u * u / sigma + by_a / tau
    slope[3] = -by_a * a / tau
    return height * slope[0]


@njit(cache=True, nogil=True)
def voigt_at(x: float, p: Array, slope: Array) -> float:
    """Voigt profile of height ``p[0]``."""
    height, sigma, gamma = p[0], p[2], p[3]
    unit = sigma * math.sqrt(2.0)
    z = complex((x - p[1]) / unit, gamma / unit)
    w = faddeeva(z)
    dw = -2.0 * z * w + 2.0j / ROOT_PI
    top = faddeeva(complex(0.0, z.imag)).real
    dtop = 2.0 * z.imag * top - 2.0 / ROOT_PI
    shape = w.real / top
    slope[0] = shape
    slope[1] = -height * dw.real / (unit * top)
    slope[2] = height * (-(z * dw).real / sigma + shape * dtop * z.imag / sigma) / top
    slope[3] = height * (-dw.imag / unit - shape * dtop / unit) / top
    return height * shape


@njit(cache=True, nogil=True)
def shape_at(code: int, x: float, p: Array, slope: Array) -> float:
    """Model at ``x`` and its derivatives by all parameters, into ``slope``."""
    last = p.size - 1
    for i in range(last):
        slope[i] = 0.0
    slope[last] = 1.0
    if code == GAUSSIAN:
        value = gaussian_at(x, p, 0, 2, slope)
    elif code == BIGAUSSIAN:
        value = gaussian_at(x, p, 0, 2 if x < p[1] else 3, slope)
    elif code == EMG:
        value = emg_at(x, p, slope)
    elif code == VOIGT:
        value = voigt_at(x, p, slope)
    else:
        value = gaussian_at(x, p, 0, 2, slope) + gaussian_at(x, p, 3, 5, slope)
    return value + p[last]


@njit(cache=True, nogil=True)
def shape_over(code: int, x: Array, p: Array) -> Array:
    """Model over a whole axis."""
    slope = np.empty(p.size)
    out = np.empty(x.size)
    for j in range(x.size):
        out[j] = shape_at(code, x[j], p, slope)
    return out
