"""Runs mutants in copies of a process that has loaded the small tests once.

    python benchmarks/mutant_runs.py --jobs 16 --seconds 240 --results codes.json

`benchmarks/mutation.py` starts it. Without that, the folder `mutants/` has to be there
(`benchmarks/mutation.py --generate`); a machine that only runs mutants needs no more of mutmut than
its package, without what it depends on.

All tests run once first, to see which functions each test reaches and how long it takes. Each
mutant then has a process of its own. The tests of the file beside the code run first, the
shortest before the others; then all others that reach the function. The first failure ends it.
The results are exit codes as mutmut has them, by name of the mutant.
"""

import argparse
import gc
import json
import os
import shutil
import signal
import sys
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

MUTANTS = Path(__file__).resolve().parents[1] / "mutants"
PACKAGE = "modelexport/rewriter/matching"
PREFIX = PACKAGE.replace("/", ".") + "."
SURVIVED, KILLED, ERROR, NO_TESTS, TIMEOUT = 0, 1, 3, 33, 36
"""Exit codes, as mutmut has them."""
PATIENCE = 20.0
"""How many seconds a mutant may take beside ten times the seconds of its tests."""


class Reach(NamedTuple):
    """What a test does to the code.

    Attributes:
        seconds: How long it takes.
        functions: The functions that it calls, under the names that mutmut gives them.
    """

    seconds: float
    functions: list[str]


class Running(NamedTuple):
    """A process.

    Attributes:
        name: Of the mutant.
        deadline: When it is ended, in seconds of `time.monotonic`.
        folder: For the files of its tests.
    """

    name: str
    deadline: float
    folder: Path


class ForkPool:
    """Copies of this process, at most some at a time."""

    def __init__(self, jobs: int, folder: Path) -> None:
        self.jobs = jobs
        self.codes: dict[str, int] = {}
        self._folder = folder
        self._running: dict[int, Running] = {}

    def start(self, name: str, work: Callable[[], int], seconds: float) -> None:
        """Run something in a copy of this process; its result is the exit code.

        Args:
            name: Under which the exit code is kept in `codes`.
            work: What to run. The exit code is `ERROR` when it raises.
            seconds: After which the process is ended; the exit code is `TIMEOUT` then.
        """
        while len(self._running) >= self.jobs:
            self._reap()
        folder = self._folder / str(time.monotonic_ns())
        folder.mkdir()
        process = os.fork()
        if process == 0:
            _work_and_exit(work, folder)
        self._running[process] = Running(name, time.monotonic() + seconds, folder)

    def wait(self) -> None:
        """Wait for all."""
        while self._running:
            self._reap()

    def _reap(self) -> None:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process:
            running = self._running.pop(process)
            self.codes.setdefault(running.name, os.waitstatus_to_exitcode(status))
            shutil.rmtree(running.folder, ignore_errors=True)
            return
        time.sleep(0.002)
        for process, running in self._running.items():
            if time.monotonic() > running.deadline and running.name not in self.codes:
                self.codes[running.name] = TIMEOUT
                os.kill(process, signal.SIGKILL)


def _work_and_exit(work: Callable[[], int], folder: Path) -> None:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)  # where pytest makes its folders
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    code = ERROR
    try:
        code = work()
    finally:
        os._exit(code)


class MutantRunner:
    """A plugin of pytest that runs mutants where tests would run."""

    def __init__(self, options: argparse.Namespace, end: float) -> None:
        self.options = options
        self.end = end
        self.codes: dict[str, int] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the mutants; pytest runs no test itself."""
        gc.freeze()
        with TemporaryDirectory() as folder:
            reach = _reach(session, ForkPool(self.options.jobs, Path(folder)), Path(folder))
            pool = ForkPool(self.options.jobs, Path(folder))
            self.codes = pool.codes
            names = list(_names(self.options.only))
            for count, name in enumerate(names):
                if time.monotonic() > self.end:
                    print(f"{len(names) - count} mutants were not run: the time is over")
                    break
                tests = _tests_for(name, session.items, reach)
                if not tests:
                    pool.codes[name] = NO_TESTS
                    continue
                seconds = 10 * sum(reach[test.nodeid].seconds for test in tests) + PATIENCE
                pool.start(name, lambda name=name, tests=tests: _run(session, tests, name), seconds)
                if count % 500 == 0:
                    print(f"{count} of {len(names)} mutants", flush=True)
            pool.wait()
        return True


def _reach(session: pytest.Session, pool: ForkPool, folder: Path) -> dict[str, Reach]:
    """What each test reaches, by its identifier; all tests must pass."""
    for share in range(pool.jobs):
        items = session.items[share :: pool.jobs]
        file = folder / f"{share}.json"
        pool.start(str(share), lambda items=items, file=file: _measure(session, items, file), 600)
    pool.wait()
    if any(pool.codes.values()):
        raise SystemExit("a test fails without any mutant; run the small tests to see which")
    return {
        test: Reach(*measured)
        for share in range(pool.jobs)
        for test, measured in json.loads((folder / f"{share}.json").read_text()).items()
    }


def _measure(session: pytest.Session, items: Sequence[pytest.Item], file: Path) -> int:
    from mutmut.mutation import trampoline

    reach = {}
    for item in items:
        functions: set[str] = set()

        def note(name: str, functions: set[str] = functions, **_: object) -> None:
            functions.add(name)

        trampoline.record_trampoline_hit = note
        begin = time.perf_counter()
        failed = _run(session, [item], "stats")
        if failed:
            return failed
        reach[item.nodeid] = Reach(time.perf_counter() - begin, sorted(functions))
    file.write_text(json.dumps(reach))
    return SURVIVED


def _run(session: pytest.Session, tests: Iterable[pytest.Item], mutant: str) -> int:
    """Run tests with a mutant, up to the first that fails; the exit code."""
    os.environ["MUTANT_UNDER_TEST"] = mutant
    for test in tests:
        test.config.hook.pytest_runtest_protocol(item=test, nextitem=None)
        if session.testsfailed:
            return KILLED
    return SURVIVED


def _names(patterns: Sequence[str]) -> Iterator[str]:
    """The mutants whose names fit a pattern, in the order of the patterns; all without any."""
    names = defaultdict(list)
    for meta in sorted((MUTANTS / PACKAGE).rglob("*.meta")):
        for name in json.loads(meta.read_text())["exit_code_by_key"]:
            fitting = (i for i, one in enumerate(patterns or ["*"]) if fnmatchcase(name, one))
            names[next(fitting, -1)].append(name)
    names.pop(-1, None)
    for place in sorted(names):
        yield from names[place]


def _tests_for(
    name: str, items: Sequence[pytest.Item], reach: dict[str, Reach]
) -> list[pytest.Item]:
    """The tests that reach a mutant's function, those of the file beside it first."""
    function = name.partition("__mutmut_")[0]
    folder, _, file = function.removeprefix(PREFIX).rpartition(".")[0].rpartition(".")
    own = f"tests/{PACKAGE.partition('/')[2]}/{folder}/test_{file}".replace("//", "/")
    tests = [item for item in items if function in reach[item.nodeid].functions]
    return sorted(
        tests,
        key=lambda item: (not item.nodeid.startswith(own), reach[item.nodeid].seconds),
    )


def main() -> None:
    """Run mutants and write their exit codes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--only", nargs="*", default=[], help="patterns of mutants' names; all by default")
    add("--jobs", type=int, default=2, help="mutants that are tested side by side")
    add("--seconds", type=float, default=1e9, help="after which no other mutant is begun")
    add("--results", type=Path, required=True, help="JSON: the exit code of each mutant")
    options = parser.parse_args()
    results, end = options.results.absolute(), time.monotonic() + options.seconds
    settings = tomllib.loads((MUTANTS / "pyproject.toml").read_text())["tool"]["mutmut"]
    os.chdir(MUTANTS)
    other = [path for path in sys.path if path not in ("", str(MUTANTS.parent))]
    sys.path[:] = [str(MUTANTS), *other]
    os.environ.update(MUTANT_UNDER_TEST="", PYTHONPATH=os.pathsep.join(sys.path))
    runner = MutantRunner(options, end)
    arguments = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist"]
    pytest.main([*arguments, *settings["pytest_add_cli_args_test_selection"]], plugins=[runner])
    results.write_text(json.dumps(runner.codes))
    print(f"{len(runner.codes)} mutants: {results}")


if __name__ == "__main__":
    main()
