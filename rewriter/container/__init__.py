"""Reading and writing .onnx files without parsing their weights.

A file is read without its large weights, and scanned at the level of protobuf's wire format.
Readers get its *skeleton*: an ordinary `ModelProto` whose large tensors are references into the
file. Writing copies the file's own bytes and splices entries into its nodes. So every byte that no
edit changes stays as it is, and memory use stays at the size of the skeleton.
"""

from modelexport.rewriter.container.edits import Changes, Edits
from modelexport.rewriter.container.onnx_container import OnnxContainer
from modelexport.rewriter.container.session import SessionSource, file_source, session_source

__all__ = ["Changes", "Edits", "OnnxContainer", "SessionSource", "file_source", "session_source"]
