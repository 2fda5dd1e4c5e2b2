"""Why a single result of a batch is not to be trusted; a bad pixel is flagged and never stops the others."""

from enum import IntFlag


class Flag(IntFlag):
    """Bits of the ``flags`` array of a result; 0 means sound."""

    NOT_FINITE = 1        # NaN or infinity in the data: the numbers of this entry are NaN
    NO_SIGNAL = 2         # nothing to take shares of, or no peak above the noise
    SATURATED = 4         # channels at the detector's limit were left out
    NOT_CONVERGED = 8     # the iteration ended without settling
    AT_BOUND = 16         # the best value lies at the edge of what is allowed: errors are one-sided
    TOO_FEW_POINTS = 32   # fewer good samples than parameters
    OUTSIDE = 64          # outside the range in which the formula holds; never clipped
    MISFIT = 128          # residuals are not noise: a wrong or missing endmember, or a wrong model


class TooFewPointsError(ValueError):
    """What is there is too little for a fit, whatever its values are; everything else about it can be sound."""
