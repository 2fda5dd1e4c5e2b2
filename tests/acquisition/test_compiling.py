"""Kernels are compiled in the back after installation, once."""

import sys

import pytest

from halidescope.acquisition.compiling import compile_in_background, mark


@pytest.mark.skipif(sys.platform != "linux", reason="where the mark lies is chosen by XDG_CACHE_HOME")
def test_kernels_are_compiled_in_the_back_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    process = compile_in_background()
    assert process is not None
    assert process.wait(300) == 0
    assert mark().is_relative_to(tmp_path)
    assert mark().exists()
    assert compile_in_background() is None
