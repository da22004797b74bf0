"""Every error a user can meet, one sentence each.

    ModelExportError            anything the project reports instead of a traceback
    ├── UsageError              options that do not fit together, or an unknown choice
    │   └── NoSuchModuleError   a module that a file does not have, or that has no nodes in it
    ├── FileProblem             a file that cannot be read or written as asked
    │   ├── OnnxFileError       a file that is not a readable ONNX model
    │   ├── RecordError         a file that is not a readable trace record
    │   ├── PlanError           a batch plan that cannot be read, or asks for what cannot be
    │   └── SettingsError       a file of settings that does not hold what it should
    ├── ForeignRecordError      a record that belongs to another model than the file
    ├── SourceError             a model source that cannot be found, imported or built
    ├── InputsError             example inputs that cannot be made or do not fit the model
    ├── ExportFailedError       no exporter could write the model
    ├── RuntimeFailedError      onnxruntime could not load or run a file
    ├── RunLimitError           a run of a file took more time or memory than it may
    ├── SurgeryError            a model that onnx-graphsurgeon cannot represent
    └── MissingExtraError       a command that needs an optional dependency

The commands map all of them to exit code 2 in one place (`cli/main.py`). A message
names the user's thing (file, node, module path) and says what to do.
"""


class ModelExportError(Exception):
    """Anything the project reports in one sentence instead of a traceback."""


class UsageError(ModelExportError):
    """Options that do not fit together, or an unknown choice."""


class NoSuchModuleError(UsageError):
    """A module that a file does not have, or that has no nodes in it."""


class FileProblem(ModelExportError):  # noqa: N818 - reads as what it is: "a file problem"
    """A file that cannot be read or written as asked."""


class OnnxFileError(FileProblem):
    """A file that is not a readable ONNX model."""


class RecordError(FileProblem):
    """A file that is not a readable trace record."""


class PlanError(FileProblem):
    """A batch plan that cannot be read, or asks for what cannot be."""


class SettingsError(FileProblem):
    """A file of settings that does not hold what it should."""


class ForeignRecordError(ModelExportError):
    """A record that belongs to another model than the file."""


class SourceError(ModelExportError):
    """A model source that cannot be found, imported or built."""


class InputsError(ModelExportError):
    """Example inputs that cannot be made or do not fit the model."""


class ExportFailedError(ModelExportError):
    """No exporter could write the model."""


class RuntimeFailedError(ModelExportError):
    """onnxruntime could not load or run a file."""


class RunLimitError(ModelExportError):
    """A run of a file took more time or memory than it may."""


class SurgeryError(ModelExportError):
    """A model that onnx-graphsurgeon cannot represent."""


class MissingExtraError(ModelExportError):
    """A command that needs an optional dependency that is not installed."""
