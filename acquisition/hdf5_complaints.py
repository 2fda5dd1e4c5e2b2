"""What h5py raises over files that are damaged, or are not what they should be. Imports nothing, to be there soon."""

HDF5_COMPLAINTS = (
    OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError, MemoryError,
    NotImplementedError, RecursionError, IndexError, SystemError,
)  # fmt: skip
