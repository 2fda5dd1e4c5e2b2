"""No more memory than is there, for processes that open what may claim anything."""

import sys


def limit_memory() -> None:
    """What this process asks for beyond the computer's free memory fails, here alone; Windows knows no such limit."""
    if sys.platform != "win32":
        import resource

        import psutil

        most = psutil.virtual_memory().available + (1 << 30)
        _, allowed = resource.getrlimit(resource.RLIMIT_AS)
        if allowed == resource.RLIM_INFINITY or most < allowed:      # nobody may raise a limit
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
