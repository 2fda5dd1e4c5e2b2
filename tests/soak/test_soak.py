"""The soak as a test; its size and its seed come from ``SOAK_KILLS`` and ``SOAK_SEED``."""

import os
import random

import pytest

from .soak import Soak

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_kills_and_faults_at_random_leave_it_dark_and_cost_no_point(tmp_path, capsys):
    kills = int(os.environ.get("SOAK_KILLS", "52"))
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(10**6)))

    def say(text):
        with capsys.disabled():
            print(text, flush=True)  # noqa: T201 - a soak tells what it counts

    say(f"\nsoak: {kills} kills, seed {seed}")
    soak = Soak(tmp_path, kills=kills, seed=seed, say=say)
    told = soak.run()
    say(soak.table())
    assert sum(told[f"killed {who}"] for who in ("engine", "window", "simulator")) >= kills
    assert told["points"] >= 40 * kills
    assert told["ledger_over_truth"] == pytest.approx(1.0, abs=0.01)
