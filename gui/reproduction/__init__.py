"""``halidescope reproduce``: the paper's numbers one by one, as stated, as its formulas give them, and as recovered
from simulated measurements. What does not agree is marked, never bent.
"""
