"""Robust aggregation in NVFlare: an aggregator for its workflows, behind the guards of Flower's.

In a job's ``config_fed_server.json``::

    {"id": "aggregator", "path": "varangian.nvflare.RobustAggregator",
     "args": {"rule": "nnm | trimmed-mean", "f": 1}}
"""

from __future__ import annotations

try:
    import nvflare.app_common.abstract.aggregator  # noqa: F401
except ImportError as error:
    text = "varangian.nvflare needs nvflare 2.6 or later: pip install varangian[nvflare]"
    raise ImportError(text) from error

from varangian.nvflare._aggregator import RobustAggregator

__all__ = ["RobustAggregator"]
