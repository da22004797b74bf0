"""The format of a batch plan: models, steps, options, and a matrix of options.

`docs/batch-plan.schema.json` is generated from these classes.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from modelexport.hierarchy.annotate_options import AnnotateOptions, FoldRules, MatchOptions
from modelexport.hierarchy.choices import Exporter, Inject, MatchEvidence, TagStyle, TorchNN
from modelexport.hierarchy.export_config import Opset, TraceOptions
from modelexport.hierarchy.tags import TagRules


class Step(StrEnum):
    """What can be done with a model."""

    TRACE = "trace"
    ANNOTATE = "annotate"
    EXPORT = "export"
    VALIDATE = "validate"


Depth = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Size = Annotated[
    str, Meta(pattern=r"^\d{1,15}(\.\d{1,9})? ?([KMGT]i)?B$", examples=["4 GiB", "512 MiB"])
]
Name = Annotated[str, Meta(pattern=r"^[\w+-][\w.+-]*$")]
InjectAxis = Annotated[list[Inject], Meta(min_length=1)] | Inject
"""One value of the axis `inject`: several injections together, or one."""
FunctionsAxis = Annotated[list[str], Meta(min_length=1)] | str
"""One value of the axis `functions`: several patterns together, or one."""

_DEFAULTS = AnnotateOptions()


class AnnotateSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Options of the steps `annotate` and `export`, as of `modelexport annotate`.

    A plan writes them in one flat table. The defaults are those of `AnnotateOptions`.

    Attributes:
        inject: Where the hierarchy is written.
        functions: Which calls become functions when `inject` has `functions`.
        min_nodes: Calls with fewer nodes are not folded.
        max_prototypes_per_class: Maximum number of functions for one class.
        tag_style: Whether the steps of a tag are module names or class names.
        torch_nn: Whether nodes of torch's own modules keep their tag.
        depth: Maximum number of steps of a tag below the root.
        torch_keys: Write the metadata keys of torch's own exporter, too.
        source_lines: Write the lines of Python behind each node.
        replace_keys: Overwrite keys that other tools wrote.
        evidence: The kinds of evidence that may be used.
        run: Whether the file may be run to compare values.
        report: Write every decision to `NAME.report.json`.
        strict: The job has faults when a node is unresolved or evidence contradicts.
    """

    inject: Annotated[tuple[Inject, ...], Meta(min_length=1)] = _DEFAULTS.inject
    functions: Annotated[tuple[str, ...], Meta(min_length=1)] = _DEFAULTS.fold_rules.functions
    min_nodes: Annotated[int, Meta(ge=1)] = _DEFAULTS.fold_rules.min_nodes
    max_prototypes_per_class: Annotated[int, Meta(ge=1)] | None = (
        _DEFAULTS.fold_rules.max_prototypes
    )
    tag_style: TagStyle = _DEFAULTS.rules.style
    torch_nn: TorchNN = _DEFAULTS.rules.torch_nn
    depth: Depth | None = _DEFAULTS.rules.depth
    torch_keys: bool = _DEFAULTS.torch_keys
    source_lines: bool = _DEFAULTS.source_lines
    replace_keys: bool = _DEFAULTS.replace_keys
    evidence: Annotated[tuple[MatchEvidence, ...], Meta(min_length=1)] = tuple(MatchEvidence)
    run: bool = _DEFAULTS.matching.run
    report: bool = False
    strict: bool = False

    def options(self) -> AnnotateOptions:
        """These settings as the options of `annotate`."""
        return AnnotateOptions(
            matching=MatchOptions(frozenset(self.evidence), self.run),
            inject=self.inject,
            rules=TagRules(self.tag_style, self.torch_nn, self.depth),
            fold_rules=FoldRules(self.functions, self.min_nodes, self.max_prototypes_per_class),
            torch_keys=self.torch_keys,
            source_lines=self.source_lines,
            replace_keys=self.replace_keys,
        )


class ValidateSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Options of the step `validate`.

    Attributes:
        consistency: Look for tags that contradict the graph.
        reference: Compare the outputs with those of the plain file, bit for bit.
    """

    consistency: bool = True
    reference: bool = True


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Settings that a plan can give for all models, and again for each model.

    Attributes:
        steps: The steps, in order; by default `trace`, `annotate`.
        timeout: Seconds after which a job is ended.
        memory: Memory that a job's process may use, as "4 GiB". Its libraries count (0.7 GiB).
        threads: Threads that a job may use; by default the workers share the cores.
        parts: The model is a folder of parts: `source` is traced into one, or `onnx` is one.
        trace: Options of tracing.
        annotate: Options of annotating.
        validate: Options of validating.
    """

    steps: Annotated[list[Step], Meta(min_length=1)] | None = None
    timeout: Seconds | None = None
    memory: Size | None = None
    threads: Annotated[int, Meta(ge=1)] | None = None
    parts: bool = False
    trace: TraceOptions = TraceOptions()
    annotate: AnnotateSettings = AnnotateSettings()
    validate: ValidateSettings = ValidateSettings()


class Matrix(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Options that take several values: there is a job for each combination.

    An option that none of a model's steps reads is left out for that model.
    """

    exporter: list[Exporter] = []
    opset: list[Opset] = []
    dynamic: list[bool] = []
    inject: list[InjectAxis] = []
    functions: list[FunctionsAxis] = []
    tag_style: list[TagStyle] = []
    torch_nn: list[TorchNN] = []
    depth: list[Depth] = []


class Model(Settings, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A model of the plan: a source to trace, or an existing ONNX file.

    Attributes:
        source: Hugging Face folder or id, `package.module:factory`, or `file.py:factory`.
        onnx: An existing file, to be annotated or validated; a folder of parts with `parts`.
        record: The trace record of `onnx`; of a folder of parts, a folder with other records.
        name: Name of the results; made from the source by default.
        inputs: Files and folders that the model is made from and that cannot be seen by watching
            it load. `--resume` compares their content.
        matrix: The matrix for this model, in place of the plan's.
    """

    source: str | None = None
    onnx: str | None = None
    record: str | None = None
    name: Name | None = None
    inputs: list[str] = []
    matrix: Matrix | None = None


class Plan(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A batch plan.

    Attributes:
        models: The models.
        out: Folder of the results, relative to the plan's folder.
        defaults: Settings for all models.
        matrix: Options that take several values.
    """

    models: Annotated[list[Model], Meta(min_length=1)]
    out: str = "out"
    defaults: Settings = Settings()
    matrix: Matrix = Matrix()


_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def size_in_bytes(text: str) -> int:
    """Read a size of the plan.

    >>> size_in_bytes("1.5 GiB")
    1610612736
    """
    number = text.rstrip("BiKMGT ")
    return int(float(number) * _UNITS[text[len(number) :].strip()])
