"""All faults, by the name that they have in the table."""

import signal
from collections.abc import Callable

from faulting import trials
from faulting.trials import Bench, Trial

FAULTS: dict[str, Callable[[Bench], Trial]] = {
    "kill -9": trials.kill,
    "SIGINT": trials.stop(signal.SIGINT),
    "SIGTERM": trials.stop(signal.SIGTERM),
    "SIGHUP": trials.stop(signal.SIGHUP),
    "input truncated": trials.change_input(trials.truncate),
    "input replaced": trials.change_input(trials.replace),
    "input removed": trials.change_input(trials.remove),
    "file size limit": trials.limit_files,
    "disk full": trials.fill_disk,
    "permission lost": trials.lose_permission,
    "two writers": trials.write_twice(),
    "two writers, --force": trials.write_twice("--force"),
}
