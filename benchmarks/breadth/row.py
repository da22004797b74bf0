"""What came of one model type."""

import msgspec


class Row(msgspec.Struct, omit_defaults=True):
    """One model type, from the configuration to the judged tags.

    Attributes:
        model_type: The key of transformers' mappings.
        key: Digest of the code that the row depends on.
        versions: The versions of the libraries that it depends on.
        status: How far it came: `build`, `inputs`, `export`, `annotate` name the stage that failed;
            `annotated` was not judged, as eager truth failed or took too long; `judged` and
            `recorded` (eagerly) are the ends.
        reason: Why it came no further.
        degree: Number of the degree by which the configuration was shrunk, 0 is the smallest.
        parameters, modules: Size of the model.
        inputs: The generated inputs, each with its shape.
        exporter: What wrote the file; `eager` where none could.
        refusals: Why an exporter could not, by exporter.
        nodes, tagged, known: Nodes of the file; those with a tag; those whose module is known by
            eager execution.
        verdicts: Number of known nodes by verdict.
        wrong: The nodes whose tag eager execution contradicts.
        faults: What `validate` found.
        seconds: Processor time that it took, in seconds.
    """

    model_type: str
    key: str = ""
    versions: dict[str, str] = {}
    status: str = "build"
    reason: str = ""
    degree: int = -1
    parameters: int = 0
    modules: int = 0
    inputs: dict[str, list[int]] = {}
    exporter: str = ""
    refusals: dict[str, str] = {}
    nodes: int = 0
    tagged: int = 0
    known: int = 0
    verdicts: dict[str, int] = {}
    wrong: list[str] = []
    faults: list[str] = []
    seconds: float = 0.0
