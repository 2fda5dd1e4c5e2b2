"""The same instruments as wire-level servers, joined to one simulated film and one optical path.

Written from the protocols, never from our drivers: the two readings test each other.
"""
