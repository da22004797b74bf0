"""The choices that users are given; each stands here and nowhere else."""

from enum import StrEnum, auto
from typing import TypeVar

from modelexport.errors import UsageError

Choice = TypeVar("Choice", bound=StrEnum)


def parse_choice(kind: type[Choice], value: str, name: str) -> Choice:
    """The choice that a text stands for.

    Args:
        kind: The choices.
        value: The text.
        name: What is chosen, for the error.

    Raises:
        UsageError: There is no such choice; the message lists all.
    """
    try:
        return kind(value)
    except ValueError as error:
        raise UsageError(f"Unknown {name} {value!r}; choose from {', '.join(kind)}.") from error


class Exporter(StrEnum):
    """Exporters that write an ONNX file."""

    AUTO = "auto"
    """The first exporter that can export the model."""
    DYNAMO = "dynamo"
    TORCHSCRIPT = "torchscript"
    HTP = "htp"
    """The name that earlier tools gave to `torchscript`."""


class RecordExporter(StrEnum):
    """What the operators of a record come from: an exporter, or a run of the model itself."""

    AUTO = Exporter.AUTO.value
    DYNAMO = Exporter.DYNAMO.value
    TORCHSCRIPT = Exporter.TORCHSCRIPT.value
    HTP = Exporter.HTP.value
    EAGER = "eager"
    """No exporter: the model runs, and every operator that torch calls is recorded."""


class TextFormat(StrEnum):
    """Output formats of commands whose result is text or data."""

    TEXT = "text"
    JSON = "json"


class ComparisonFormat(StrEnum):
    """Output formats of `compare`."""

    TEXT = "text"
    TREE = "tree"
    """With --numeric: the modules as a tree, with what each returns."""
    TABLE = "table"
    """With --numeric: a line for each value that a module returns."""
    JSON = "json"
    CSV = "csv"
    """With --numeric: the table, numbers in full."""
    MARKDOWN = "markdown"


class ScopeOrigin(StrEnum):
    """How the module of a recorded operator was found."""

    EXPORTER = "exporter"
    """The exporter gave it."""
    VALUES = "values"
    """Exactly one call of one module computes the values of the operator, in an eager run."""
    EAGER = RecordExporter.EAGER.value
    """The operator was recorded in an eager run, where a hook knows the running module."""


class DType(StrEnum):
    """Types of the elements of an input, as torch names them."""

    BOOL = "bool"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    UINT8 = "uint8"


class TagStyle(StrEnum):
    """The names from which a tag is made."""

    PATH = "path"
    """Module paths: `/Net/encoder/layer.0`."""
    CLASS = "class"
    """Class names: `/Net/Encoder/Layer.0`."""


class TorchNN(StrEnum):
    """Which module a node gets that ran inside a module of torch itself."""

    KEEP = "keep"
    """The module of torch."""
    ROLL_UP = "roll-up"
    """The nearest module around it whose class torch does not define."""


class Inject(StrEnum):
    """Ways of writing the hierarchy into a file; they may be combined."""

    METADATA = "metadata"
    ATTRIBUTES = "attributes"
    NAMES = "names"
    FUNCTIONS = "functions"


class EvidenceKind(StrEnum):
    """The kinds of evidence, the strongest first."""

    IDENTITY = "identity"
    CARRIED = "carried"
    NAMES = "names"
    WEIGHTS = "weights"
    VALUES = "values"
    STRUCTURE = "structure"
    PROPAGATION = "propagation"


class MatchEvidence(StrEnum):
    """The kinds of evidence that matching with a record may use, the strongest first."""

    IDENTITY = EvidenceKind.IDENTITY.value
    NAMES = EvidenceKind.NAMES.value
    WEIGHTS = EvidenceKind.WEIGHTS.value
    VALUES = EvidenceKind.VALUES.value
    STRUCTURE = EvidenceKind.STRUCTURE.value
    PROPAGATION = EvidenceKind.PROPAGATION.value


class FoldMode(StrEnum):
    """Which calls of modules become functions, where no patterns are given."""

    REPEATED = "repeated"
    """The outermost calls that occur more than once with the same structure."""
    NESTED = "nested"
    """These, and the repeated calls inside them."""
    ALL = "all"
    """Every call."""


class ModuleOrder(StrEnum):
    """Orders in which `analyze` shows modules; equal ones stay in the model's order."""

    MODEL = "model"
    """A module before those below it, as the model lists them."""
    NAME = "name"
    NODES = "nodes"
    PARAMS = "params"
    MACS = "macs"
    BYTES = "bytes"


class AnalysisFormat(StrEnum):
    """Formats in which `analyze` prints."""

    TREE = "tree"
    SUMMARY = "summary"
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class OptimisationLevel(StrEnum):
    """How far onnxruntime optimises a file before it runs it."""

    DISABLE = "disable"
    BASIC = "basic"
    EXTENDED = "extended"
    ALL = "all"


class PartRole(StrEnum):
    """What a part of a model does that is deployed as several files."""

    ENCODER = auto()
    """Reads the whole input once; of a model that reads an image beside text, the image."""
    DECODER = auto()
    """Reads the first tokens, and begins the cache."""
    DECODER_WITH_PAST = auto()
    """Reads further tokens, and the cache of those before."""

    @property
    def words(self) -> str:
        """The role as it is printed.

        >>> PartRole.DECODER_WITH_PAST.words
        'decoder with past'
        """
        return self.replace("_", " ")


class ProfileRuntime(StrEnum):
    """Runtimes in which `profile` runs a file."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


class ProfileOrder(StrEnum):
    """Orders in which `profile` shows modules; equal ones stay in the model's order."""

    MODEL = "model"
    """A module before those below it, as the model lists them."""
    TIME = "time"
    SELF = "self"
    NODES = "nodes"
    NAME = "name"


class ProfileRows(StrEnum):
    """What the rows of a printed profile are."""

    MODULE = "module"
    LINE = "line"
    """Lines of Python."""


class ProfileFormat(StrEnum):
    """Formats in which `profile` prints."""

    TREE = "tree"
    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"


class SelectionFormat(StrEnum):
    """Forms in which `select` prints nodes."""

    NAMES = "names"
    JSON = "json"
    REGEX = "regex"
    """One anchored and escaped regular expression."""
    ORT = "ort"
    """onnxruntime's quantisers, and Olive's: `nodes_to_exclude`."""
    FP16 = "fp16"
    """The converters of onnxruntime, onnxconverter-common and Olive: `node_block_list`."""
    MODELOPT = "modelopt"
    QUARK = "quark"
    INC = "inc"
    """onnx_neural_compressor: what `set_local` takes."""
    OLIVE_SPLIT = "olive-split"
    """`split_assignments` of Olive's SplitModel."""
    LAYER_ANN = "layer-ann"
    """onnxruntime's `session.layer_assignment_settings`."""


class SplitBalance(StrEnum):
    """Costs that `split --parts` balances."""

    MACS = "macs"
    """Multiply-accumulates."""
    BYTES = "bytes"
    """Bytes of weights."""
    TIME = "time"
    """Time of modules, as a profile has it."""
