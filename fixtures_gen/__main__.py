"""`python -m fixtures_gen --model SOURCE --output-dir DIR` writes the reference data of a model."""

import argparse
import sys
from pathlib import Path

from fixtures_gen.baseline import write_baseline
from modelexport.errors import ModelExportError


def main() -> int:
    """Write what the command line asks for, and print a summary."""
    parser = argparse.ArgumentParser(prog="python -m fixtures_gen", description=__doc__)
    parser.add_argument("--model", required=True, help="a source as `modelexport trace` takes it")
    parser.add_argument("--output-dir", required=True, type=Path)
    parser.add_argument("--exporter", default="auto")
    arguments = parser.parse_args()
    try:
        baseline = write_baseline(
            arguments.model, arguments.output_dir, exporter=arguments.exporter
        )
    except ModelExportError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command
        return 2
    known = sum(1 for node in baseline.truth if node.modules)
    print(  # noqa: T201 - a command
        f"{arguments.output_dir}: {len(baseline.truth)} nodes, the true module of {known} is "
        f"known, {len(baseline.nodes_by_tag)} tags"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
