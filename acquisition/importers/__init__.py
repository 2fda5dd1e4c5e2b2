"""Saved scans of other instruments and programs: :func:`open_any` opens whatever file there is as a scan.

One room a format; :mod:`~halidescope.acquisition.importers.foreign` makes scans of what they read. What a file is, its
content tells, not its name, wherever the content is unmistakable.
"""

from halidescope.acquisition.importers.opening import open_any, supported

__all__ = ["open_any", "supported"]
