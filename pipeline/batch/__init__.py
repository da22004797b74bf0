"""Batch runs: a plan of many models and steps, done by many workers, here or on a cluster.

The parts in the order in which a run uses them:

- `plan` is the format of a plan. `plan_loader` reads one, splits it into `jobs`, and refuses jobs
  that cannot work.
- `plan_runner` runs a plan. `ledger` knows which jobs are done, by `digests` of their files;
  `shared_traces` finds jobs that need the same trace; `summary` is what a run leaves behind, and a
  `watcher` is told how it goes.
- `cluster` starts or finds the Dask workers; `task_builder` makes the tasks that they are sent.
  `messages` are all that these processes say to each other, `outcome` how a job ended.
- `worker` runs in each Dask worker. It has no torch and no model: a `fork_server_client` hands the
  job to a `fork_server`, a process that has loaded all libraries.
- The fork server forks a `job_process` for each job, limits it and waits for it. The job does its
  `steps`, while `opened_files` records what the model is made from. A job that dies, hangs or
  grows affects no other job.
"""

from modelexport.pipeline.batch.plan import Plan
from modelexport.pipeline.batch.plan_loader import LoadedPlan, load_plan
from modelexport.pipeline.batch.plan_runner import run_plan
from modelexport.pipeline.batch.summary import Row, Summary, markdown
from modelexport.pipeline.batch.watcher import SilentWatcher, Watcher

__all__ = [
    "LoadedPlan",
    "Plan",
    "Row",
    "SilentWatcher",
    "Summary",
    "Watcher",
    "load_plan",
    "markdown",
    "run_plan",
]
