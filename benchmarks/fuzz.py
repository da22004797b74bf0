"""Run every command on damaged files: no crash, no hang, no unexpected error, nothing left over.

A case is a number: it decides the command, the file that is damaged and how. Findings are printed,
and their files are kept in `temp/fuzz`. The table has the number of cases and findings by command.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import modelexport.rewriter  # noqa: F401 - loaded once, before workers are forked
from fuzzing.cases import run_cases
from fuzzing.seeds import write_seeds
from modelexport.cli.main import main as _main  # noqa: F401 - the same


def main() -> None:
    """Run the cases that the arguments ask for; exits with 1 if one ended wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("temp/fuzz"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    faults: Counter[str] = Counter()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        write_seeds(Path(folder))
        numbers = range(options.first, options.first + options.cases)
        for finding in run_cases(numbers, Path(folder), options.out.resolve()):
            faults[finding.command.partition(" ")[0]] += 1
            print(
                f"{finding.seed}: {finding.command} ({finding.file}): {finding.fault}", flush=True
            )
    print(f"\n{options.cases} cases, {time.monotonic() - start:.0f} s, {faults.total()} findings")
    for command, count in sorted(faults.items()):
        print(f"| {command} | {count} |")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
