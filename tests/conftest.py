"""How Hypothesis searches in all tests."""

from hypothesis import HealthCheck, settings

# a busy computer makes no example wrong; a fixture of a function serves all its examples where a test says so
UNHURRIED = {
    "deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
# the same examples every time: what fails is the change's doing and not chance's; `make soak` looks for others
settings.register_profile("same", derandomize=True, **UNHURRIED)
settings.register_profile("search", print_blob=True, **UNHURRIED)
settings.load_profile("same")
