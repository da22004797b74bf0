"""The plan of a batch run: many models, many steps, and what they are done with.

The classes here are the format: `docs/batch-plan.schema.json` is generated from them.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from modelexport.hierarchy.annotate_options import AnnotateOptions, FoldRules, MatchOptions
from modelexport.hierarchy.choices import Exporter, Inject, MatchEvidence, TagStyle, TorchNN
from modelexport.hierarchy.export_config import ExportConfig
from modelexport.hierarchy.tags import TagRules


class Step(StrEnum):
    """What can be done with a model."""

    TRACE = "trace"
    ANNOTATE = "annotate"
    EXPORT = "export"
    VALIDATE = "validate"


Opset = Annotated[int, Meta(ge=7)]
Depth = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Size = Annotated[str, Meta(pattern=r"^\d+(\.\d+)? ?([KMGT]i)?B$", examples=["4 GiB", "512 MiB"])]
Name = Annotated[str, Meta(pattern=r"^[\w+-][\w.+-]*$")]
FewOrOne = list[Inject] | Inject

_DEFAULTS = AnnotateOptions()


class TraceOptions(ExportConfig, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Options of the steps `trace` and `export`: an export configuration, and what is not in it.

    Attributes:
        probe: Put the values' fingerprints into the record.
        trust_remote_code: Let a Hugging Face folder run its own code.
    """

    probe: bool = True
    trust_remote_code: bool = False


class AnnotateSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Options of the steps `annotate` and `export`, as of `modelexport annotate`.

    They are `AnnotateOptions` without groups, as a plan writes them; the defaults are the same.

    Attributes:
        inject: Where the hierarchy is written.
        functions: What `functions` in `inject` folds.
        min_nodes: Calls with fewer nodes are not folded.
        max_prototypes_per_class: Fold only the most called structures of a class.
        tag_style: Steps of a tag by module path or by class.
        torch_nn: Whether nodes of torch's own modules keep their tag.
        depth: Cut tags this many steps below the root.
        torch_keys: Write the keys of torch's own exporter too.
        replace_keys: Overwrite keys that others wrote.
        evidence: The kinds of evidence that may be used.
        run: Whether the file may be run to compare values.
        report: Write every decision to `NAME.report.json`.
        strict: The job fails when a node is unresolved or evidence contradicts.
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
    replace_keys: bool = _DEFAULTS.replace_keys
    evidence: Annotated[tuple[MatchEvidence, ...], Meta(min_length=1)] = tuple(MatchEvidence)
    run: bool = _DEFAULTS.matching.run
    report: bool = False
    strict: bool = False

    def options(self) -> AnnotateOptions:
        """These settings as the options of `annotate`."""
        return AnnotateOptions(
            matching=MatchOptions(frozenset(map(str, self.evidence)), self.run),
            inject=self.inject,
            rules=TagRules(self.tag_style, self.torch_nn, self.depth),
            fold_rules=FoldRules(self.functions, self.min_nodes, self.max_prototypes_per_class),
            torch_keys=self.torch_keys,
            replace_keys=self.replace_keys,
        )


class ValidateOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Options of the step `validate`.

    Attributes:
        consistency: Look for tags that contradict the graph.
        reference: Compare outputs with the plain file's, bit for bit.
    """

    consistency: bool = True
    reference: bool = True


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What can be set for all models, and for each anew.

    Attributes:
        steps: What is done, in this order; `trace`, `annotate` unless said.
        timeout: Seconds after which a job is ended.
        memory: What a job's process may hold, as "4 GiB"; its libraries count (about 0.7 GiB).
        threads: Threads that a job may use; by default the cores are shared by the workers.
        trace: Options of tracing.
        annotate: Options of annotating.
        validate: Options of validating.
    """

    steps: Annotated[list[Step], Meta(min_length=1)] | None = None
    timeout: Seconds | None = None
    memory: Size | None = None
    threads: Annotated[int, Meta(ge=1)] | None = None
    trace: TraceOptions = TraceOptions()
    annotate: AnnotateSettings = AnnotateSettings()
    validate: ValidateOptions = ValidateOptions()


class Matrix(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Options that take several values: a job for each combination.

    An axis that none of a model's steps reads is left out for that model.
    """

    exporter: list[Exporter] = []
    opset: list[Opset] = []
    dynamic: list[bool] = []
    inject: list[FewOrOne] = []
    functions: list[list[str] | str] = []
    tag_style: list[TagStyle] = []
    torch_nn: list[TorchNN] = []
    depth: list[Depth] = []


class Model(Settings, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A model of the plan: a source to be traced, or a file that exists.

    Attributes:
        source: Hugging Face folder or id, `package.module:factory`, or `file.py:factory`.
        onnx: A file that exists, to be annotated or validated.
        record: The trace record of `onnx`.
        name: What its files are called; made from the source unless given.
        inputs: Files and folders it is made from that cannot be seen by watching it load
            (`--resume` looks at their content).
        matrix: In place of the plan's.
    """

    source: str | None = None
    onnx: str | None = None
    record: str | None = None
    name: Name | None = None
    inputs: list[str] = []
    matrix: Matrix | None = None


class Plan(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A batch run.

    Attributes:
        models: The models.
        out: Folder of the results, relative to the plan's.
        defaults: What holds for all models.
        matrix: Options that take several values.
    """

    models: Annotated[list[Model], Meta(min_length=1)]
    out: str = "out"
    defaults: Settings = Settings()
    matrix: Matrix = Matrix()


_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def size_in_bytes(text: str) -> int:
    """A size of the plan as a number.

    >>> size_in_bytes("1.5 GiB")
    1610612736
    """
    number = text.rstrip("BiKMGT ")
    return int(float(number) * _UNITS[text[len(number) :].strip()])
