"""Instruments: PyMeasure drivers for lasers, stages and spectrometers, one module per protocol family.

What they have in common is in :mod:`halidescope.drivers.roles`. Nothing here knows about measurements, files or
windows.
"""
