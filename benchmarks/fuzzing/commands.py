"""The commands that run on damaged files, and how often each is chosen."""

import itertools
from typing import NamedTuple


class Command(NamedTuple):
    """A command line.

    Attributes:
        arguments: What follows the program's name.
        stdin: The file that it gets on standard input, if any.
        others: Files that it reads, although no argument names them.
    """

    arguments: tuple[str, ...]
    stdin: str | None = None
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The command itself."""
        return self.arguments[0]

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments, and all other files that it reads."""
        stdin = () if self.stdin is None else (self.stdin,)
        return (*self.arguments, *stdin, *self.others)

    @property
    def writes_stdout(self) -> bool:
        """Whether standard output gets a model and no text."""
        return "-o -" in " ".join(self.arguments)

    def __str__(self) -> str:
        line = " ".join(self.arguments)
        return line if self.stdin is None else f"{line} < {self.stdin}"


_TABLE = """
6 analyze plain.onnx
10 analyze annotated.onnx
10 analyze all.onnx
6 analyze out.onnx
8 analyze flow.onnx
4 analyze all.onnx --output-format csv
4 analyze all.onnx --output-format markdown --unresolved
2 analyze all.onnx --output-format table
4 analyze flow.onnx --output-format json --dim N=2 --unresolved
4 analyze flow.onnx --output-format summary --all --depth 1
4 analyze - < all.onnx
6 validate annotated.onnx
6 validate all.onnx
6 validate flow.onnx --check-consistency --strict
4 validate annotated.onnx --check-consistency --record record.json
4 validate annotated.onnx --reference plain.onnx --output-format json
3 validate out.onnx
6 strip annotated.onnx -o new.onnx
8 strip all.onnx -o new.onnx
4 strip out.onnx -o new.onnx
6 strip flow.onnx -o new.onnx --output-format json
6 strip all.onnx -o new.onnx --only functions
2 strip - -o - < all.onnx
8 annotate plain.onnx --record record.json -o new.onnx
4 annotate plain.onnx --record record.json -o new.onnx --strict --report new.json
4 annotate plain.onnx --record record.json --explain #0
6 annotate plain.onnx --record record.json -o new.onnx --no-run --inject functions
6 annotate all.onnx -o new.onnx
3 annotate out.onnx --record record.json -o new.onnx
6 annotate flow.onnx --record flow.json -o new.onnx --inject functions --inject metadata
4 annotate flow.onnx --record flow.json -o new.onnx --no-run --inject names
6 annotate plain.onnx --from annotated.onnx -o new.onnx --no-run
3 annotate plain.onnx --from annotated.onnx --probe inputs.npz -o new.onnx
6 compare annotated.onnx all.onnx --no-run
6 compare plain.onnx annotated.onnx --record record.json --output-format json
4 compare annotated.onnx plain.onnx --output-format markdown --all
4 compare annotated.onnx all.onnx --numeric
4 compare annotated.onnx all.onnx --numeric --probe inputs.npz --output-format json
3 compare flow.onnx flow.onnx --numeric
6 select annotated.onnx --module part.0
4 select flow.onnx --class B* --format json
3 select annotated.onnx --op-type MatMul --not --partly --no-run
3 select annotated.onnx --module part --format layer-ann -o new.onnx
3 select plain.onnx --module part.* --record record.json
6 extract annotated.onnx part.0 -o new.onnx
4 extract all.onnx part.1 -o new.onnx --check
3 extract annotated.onnx part.0 -o new.onnx --save-inputs new.npz
4 extract flow.onnx body -o new.onnx --output-format json
3 extract out.onnx part.0 -o new.onnx --record record.json
6 split annotated.onnx -o new --parts 2
4 split all.onnx -o new --stages part.0;part.1 --check --output-format json
3 split flow.onnx -o new --parts 2 --balance params
6 report annotated.onnx -o new.html
3 report annotated.onnx all.onnx -o new.html --no-run
6 report annotated.onnx -o new.html --profile profile.json
6 report annotated.onnx all.onnx -o new.html --comparison comparison.json
3 report flow.onnx -o new.html --dim N=2
4 profile annotated.onnx --import trtexec.json
4 profile annotated.onnx --import openvino.csv --output-format markdown
4 profile annotated.onnx --import openvino.json --output-format json
4 profile annotated.onnx --import graph.xml --output-format csv
4 profile annotated.onnx --import qnn.csv
4 profile annotated.onnx --import ort.json --folded-stacks new.txt --trace new.json
0.3 profile annotated.onnx --runs 1 --warmup 0
4 profile annotated.onnx --import trtexec.json --layer-info layers.json
3 analyze annotated.onnx all.onnx --output-format markdown
2 analyze all.onnx --module part --sort params --output-format table
2 compare annotated.onnx all.onnx --no-run --module part.0 --depth 1
2 report annotated.onnx -o - --no-run
2 extract annotated.onnx part.0 -o -
6 analyze . + parts.json annotated.onnx
4 validate . --output-format json + parts.json annotated.onnx record.json flow.onnx
4 annotate . -o new --no-run + parts.json annotated.onnx flow.json
4 strip . -o new + parts.json all.onnx annotated.onnx
4 compare . . --no-run --output-format json + parts.json flow.onnx
12 batch plan.toml --dry-run
6 batch plan.yaml --dry-run --output-format json
10 trace nothing.py:make plain.onnx --config config.json
6 trace nothing.py:make plain.onnx --config config.toml
6 export nothing.py:make plain.onnx --config config.yaml
4 export nothing.py:make plain.onnx --config config.json --dry-run
4 trace nothing.py:make plain.onnx --config - < config.json
0.5 doctor METADATA
"""


def _read_table(table: str) -> tuple[tuple[Command, ...], tuple[float, ...]]:
    commands, weights = [], []
    for row in table.strip().splitlines():
        weight, _, line = row.partition(" ")
        line, _, others = line.partition(" + ")
        words, _, stdin = line.partition(" < ")
        commands.append(Command(tuple(words.split()), stdin or None, tuple(others.split())))
        weights.append(float(weight))
    return tuple(commands), tuple(weights)


COMMANDS, _WEIGHTS = _read_table(_TABLE)
CUMULATIVE_WEIGHTS = tuple(itertools.accumulate(_WEIGHTS))
