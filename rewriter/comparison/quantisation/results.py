"""The results of looking at a quantised file module by module."""

import msgspec


class ModuleError(msgspec.Struct, frozen=True):
    """The error that a module adds by itself, and the one that has gathered where it ends.

    Of a module with several outputs, the worst one is told. A module stands for its own nodes;
    at the depth to which modules are shown, for those inside it, too.

    Attributes:
        tag: The module's tag.
        value: The value in the quantised file that was measured.
        nodes: Number of its nodes in the quantised file.
        relative: Norm of the local error over the norm of the exact value: the module's nodes
            computed it from exact inputs. None when the exact value is zero.
        snr_db: The same as a signal to noise ratio in decibels; None without noise or signal.
        max_abs: The greatest local error of an element.
        cumulative: Norm of the error over the norm of the value when the whole file runs.
        cumulative_snr_db: The same as a signal to noise ratio in decibels.
    """

    tag: str
    value: str
    nodes: int
    relative: float | None
    snr_db: float | None
    max_abs: float
    cumulative: float | None
    cumulative_snr_db: float | None


class SuggestedModule(msgspec.Struct, frozen=True):
    """A module, and what leaving it out of quantisation gains.

    Attributes:
        tag: The module's tag.
        nodes: Names of its nodes in the float file, as quantisers take them.
        without_name: Number of its nodes without a name: no quantiser can be told of them.
        gain_db: Decibels by which the error of the outputs falls when it is left out, too.
        alone_db: Decibels by which the error falls when nothing but this module is left out.
        error: Error of the outputs that remains then, see `Suggestion`.
    """

    tag: str
    nodes: list[str]
    without_name: int
    gain_db: float
    alone_db: float
    error: float


class Suggestion(msgspec.Struct, frozen=True):
    """Which modules to leave out of quantisation, and in what order.

    Each gain was measured: the module's nodes were those of the float file, all others those of the
    quantised file, and the outputs were compared.

    Attributes:
        reference: Name of the float file.
        error: Error of the outputs of the quantised file: the norm of the difference over the
            norm of the output, as the root of the mean square over all outputs.
        steps: The modules to leave out, in this order; each gain is on top of those before it.
        measured: Gain in decibels of leaving out one module alone, for every module that was
            measured, the largest first.
        nodes_to_exclude: The names of all nodes of `steps`, as onnxruntime's quantisers take them:
            also the names that they give to the parts of a Gemm.
        unmeasured: Tags of modules that could not be measured: the files have no common values
            around them.
    """

    reference: str
    error: float
    steps: list[SuggestedModule]
    measured: dict[str, float]
    nodes_to_exclude: list[str]
    unmeasured: list[str] = []
