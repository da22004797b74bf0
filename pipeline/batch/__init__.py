"""Batch runs: a plan of many models and steps, done by many workers, here or on a cluster.

A run takes a plan apart into jobs (`jobs`), checks all of it (`checking`), leaves what is done
(`ledger`, `digests`), and has the rest done by Dask workers (`cluster`). Each worker keeps a warm
parent process (`keeper`, `nursery`) that forks for each job (`steps`), so that a job that dies,
hangs or grows hurts nobody else.
"""

from modelexport.pipeline.batch.plan import Plan
from modelexport.pipeline.batch.running import Batch, Silent, Watcher, load_plan, run_plan
from modelexport.pipeline.batch.summary import Row, Summary, markdown

__all__ = [
    "Batch",
    "Plan",
    "Row",
    "Silent",
    "Summary",
    "Watcher",
    "load_plan",
    "markdown",
    "run_plan",
]
