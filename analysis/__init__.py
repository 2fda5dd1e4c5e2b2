"""Spectra to shares to kinetics, and the physical models: pure functions on arrays, no files, no Qt."""
