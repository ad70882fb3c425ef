"""What engines of federated learning share: replies that nobody trusts become rows of a rule.

No engine is imported here. :mod:`varangian.flower` and :mod:`varangian.nvflare` translate their
messages into names and arrays, and everything that decides about them is in this package.
"""
