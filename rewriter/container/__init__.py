"""Reading and writing .onnx files without touching their weights.

A file is mapped into memory and scanned on the level of protobuf's wire format. Readers get
its *skeleton*: an ordinary `ModelProto` whose big tensors are references into the file.
Writing copies the file's own bytes and splices entries into its nodes, so that everything
nobody asked to change is there byte for byte, and memory stays at the skeleton's size.
"""

from modelexport.rewriter.container.editing import Changes, Edits
from modelexport.rewriter.container.reading import OnnxContainer
from modelexport.rewriter.container.session import SessionSource, session_source

__all__ = ["Changes", "Edits", "OnnxContainer", "SessionSource", "session_source"]
