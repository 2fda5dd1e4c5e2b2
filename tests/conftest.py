"""How Hypothesis searches in all tests, and what the garbage collector leaves alone."""

import gc

from hypothesis import HealthCheck, settings

# a busy computer makes no example wrong; a fixture of a function serves all its examples where a test says so
UNHURRIED = {
    "deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
# the same examples every time: what fails is the change's doing and not chance's; `make soak` looks for others
settings.register_profile("same", derandomize=True, **UNHURRIED)
settings.register_profile("search", print_blob=True, **UNHURRIED)
settings.load_profile("same")


def pytest_collection_finish() -> None:
    """What the tests have loaded stays to the end: the collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
