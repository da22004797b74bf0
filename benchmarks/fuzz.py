"""Run every command on damaged files: no crash, no hang, no unexpected error, nothing left over.

A case is a number: it decides the command, the file that is damaged and how. Files that make a
command say something new are damaged further, and kept in `temp/fuzz/corpus`; the next run starts
from them, too. Findings are printed by kind; their files are kept in `temp/fuzz/findings`.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from fuzzing.cases import Seeds
from fuzzing.jobs import run_share
from fuzzing.results import Finding, Share, Tally
from fuzzing.seeds import write_seeds
from fuzzing.workers import warm_up

_NO_LIMIT = 10**9


def main() -> None:
    """Run the cases that the arguments ask for; exits with 1 for findings, 2 for a broken job."""
    options = _arguments()
    findings_folder, corpus = options.out / "findings", options.out / "corpus"
    for folder in (findings_folder, corpus):
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.seeds or Path(scratch)
        if not folder.is_dir() or not any(folder.iterdir()):
            write_seeds(folder)
        seeds = Seeds.read(folder, corpus)
    if options.only_seeds:
        return
    start = time.monotonic()
    warm_up(seeds, watch=True)
    deadline = start + (options.seconds or _NO_LIMIT)
    end = options.first + (_NO_LIMIT if options.cases is None else options.cases)
    shares = [
        Share(
            range(options.first + job, end, options.jobs),
            deadline,
            derive=True,
            findings=findings_folder.resolve(),
            corpus=corpus.resolve(),
        )
        for job in range(options.jobs)
    ]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("fork")) as pool:
        futures = [pool.submit(run_share, share, seeds) for share in shares]
        wait(futures)
    broken = [error for future in futures if (error := future.exception()) is not None]
    tallies = [future.result() for future in futures if future.exception() is None]
    findings = [finding for tally in tallies for finding in tally.findings]
    report = "\n".join(_report(tallies, findings, time.monotonic() - start, options.jobs))
    print(report)
    (options.out / "report.md").write_text(report + "\n")
    for error in broken:
        traceback.print_exception(error)
    sys.exit(2 if broken else 1 if findings else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, help="numbers to run; without end by default")
    parser.add_argument("--first", type=int, default=0, help="the first number")
    parser.add_argument("--seconds", type=float, help="time after which no case is begun")
    parser.add_argument("--jobs", type=int, default=1, help="processes that run cases")
    parser.add_argument("--seeds", type=Path, help="folder of good files; made when it is empty")
    parser.add_argument("--only-seeds", action="store_true", help="make the good files only")
    parser.add_argument("--out", type=Path, default=Path("temp/fuzz"))
    options = parser.parse_args()
    if options.cases is None and options.seconds is None:
        options.cases = 2000
    return options


def _report(
    tallies: Sequence[Tally], findings: Sequence[Finding], seconds: float, jobs: int
) -> list[str]:
    """The lines of the result: a table by command, and the findings by kind."""
    cases, times = Counter[str](), Counter[str]()
    for tally in tallies:
        cases += tally.cases
        times.update(tally.seconds)
    by_command = Counter(finding.command.partition(" ")[0] for finding in findings)
    kinds = len(set().union(*(tally.kinds for tally in tallies)))
    run = len(set().union(*(tally.lines for tally in tallies)))
    run_lines = f"{run} lines run, " if run else ""
    rate = cases.total() / seconds / jobs
    speed = f"{seconds:.0f} s, {jobs} jobs, {rate:.0f} cases/s a job"
    told = f"{kinds} kinds of endings, {run_lines}{len(findings)} findings"
    lines = [
        f"{cases.total()} cases, {speed}, {told}",
        "",
        "| command | cases | ms a case | findings |",
        "|---|---:|---:|---:|",
    ]
    for name, count in sorted(cases.items()):
        lines.append(
            f"| {name} | {count} | {1000 * times[name] / count:.1f} | {by_command[name]} |"
        )
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    for group in sorted(by_kind.values(), key=len, reverse=True):
        first = group[0]
        lines += ["", f"{len(group)} times, first {first.case} ({first.file}): {first.command}"]
        lines.append("    " + " ".join(first.fault.split()))
    return lines


if __name__ == "__main__":
    main()
