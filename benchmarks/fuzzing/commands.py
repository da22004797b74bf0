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
        """The command itself; `open_graph` for edits by the function of this name."""
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
3 split flow.onnx -o new --parts 2 --balance bytes
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
4 open_graph annotated.onnx part.0 new.onnx
4 open_graph all.onnx part.1 new.onnx
4 open_graph flow.onnx - new.onnx
3 open_graph int8.onnx part new.onnx
3 open_graph out.onnx part.0 new.onnx record.json
3 open_graph torch.onnx part.0 new.onnx
4 analyze torch.onnx --output-format json
4 strip torch.onnx -o new.onnx --keep metadata
3 strip all.onnx -o new.onnx --functions
3 strip all.onnx -o new.onnx --function P*
3 annotate torch.onnx -o new.onnx --torch-keys --replace-keys --record record.json
4 annotate int8.onnx --record record.json -o new.onnx --evidence values --evidence weights
3 annotate int8.onnx --from annotated.onnx -o new.onnx --source-lines
3 annotate plain.onnx --record record.json -o new.onnx --reference plain.onnx --probe inputs.npz
3 annotate all.onnx -o new.onnx --inject functions --functions all --min-nodes 1 --tag-style class
3 annotate flow.onnx --record flow.json -o new.onnx --depth 1 --torch-nn roll-up --report -
2 annotate - --record record.json -o - < plain.onnx
2 annotate plain.onnx --record - -o new.onnx < record.json
4 compare annotated.onnx int8.onnx --numeric --suggest --output-format json
3 compare annotated.onnx int8.onnx --numeric --suggest --depth 1
3 compare annotated.onnx int8.onnx --numeric --output-format table --all
3 compare annotated.onnx int8.onnx --numeric --output-format csv --tolerance 0
3 compare annotated.onnx int8.onnx --numeric --output-format tree --module part
3 compare flow.onnx flow.onnx --numeric --output-format markdown --all
3 compare plain.onnx int8.onnx --record record.json --numeric --output-format markdown
4 select annotated.onnx --line net.py:1
3 select flow.onnx --line net.py:2-9 --format ort
2 select int8.onnx --class P* --format modelopt
2 select int8.onnx --module part.0@0 --format quark
2 select int8.onnx --module part.0 --format inc
2 select flow.onnx --op-type MatMul --op-type If --format regex
2 select all.onnx --module part.1 --format olive-split
2 select plain.onnx --record record.json --line net.py --format fp16
3 select . --module part --format json + parts.json annotated.onnx flow.onnx
2 select . --class * --format layer-ann -o new --device cpu + parts.json annotated.onnx flow.onnx
2 extract . part.0 -o new + parts.json annotated.onnx record.json
2 split . -o new --parts 2 --output-format json + parts.json annotated.onnx flow.onnx
4 split annotated.onnx -o new --parts 2 --assignments
4 split annotated.onnx -o new --parts 2 --balance time --profile profile.json
3 split flow.onnx -o new --parts 2 --balance bytes --assignments --output-format json
3 split int8.onnx -o new --stages part.0;part.1 --assignments --check
2 split out.onnx -o new --parts 2 --record record.json
4 report flow.onnx -o new.html --source-root . + net.py
3 report annotated.onnx int8.onnx -o new.html --comparison suggestion.json --source-root . + net.py
3 report annotated.onnx int8.onnx -o new.html --profile profile.json
3 report plain.onnx -o new.html --record record.json --source-root . + net.py
4 profile annotated.onnx --import trtexec.json --by line
3 profile annotated.onnx --import ort.json --by line --output-format csv
3 profile annotated.onnx --import openvino.csv --all --depth 1 --output-format table
3 profile annotated.onnx --import ort.json --speedscope new.json --node-data new2.json
3 profile plain.onnx --import qnn.csv --record record.json --by line --output-format markdown
2 profile annotated.onnx --import trtexec.json --module part --output-format json
0.3 profile flow.onnx --runs 1 --warmup 0 --save-optimised new.onnx --output-format csv
0.3 profile annotated.onnx int8.onnx --runs 1 --warmup 0 --output-format json
4 batch - --dry-run < plan.json
12 batch plan.toml --dry-run
6 batch plan.yaml --dry-run --output-format json
10 trace nothing.py:make new.onnx --config config.json
6 trace nothing.py:make new.onnx --config config.toml
6 export nothing.py:make new.onnx --config config.yaml
4 export nothing.py:make new.onnx --config config.json --dry-run
4 trace nothing.py:make new.onnx --config - < config.json
0.5 doctor + METADATA
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
