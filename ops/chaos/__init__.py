"""Faults of every kind, thrown at the real scheduler and workers with executions in every state, and what must hold.

On embedded servers of its own, which it restarts, stops and cuts off. Not the tests: a shorter form of it is one.
"""
