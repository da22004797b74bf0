"""Examples of every command, shown below its help."""

EXAMPLES = {
    "": """
modelexport trace net.py:build net.onnx
modelexport annotate net.onnx --record net.trace.json -o net.annotated.onnx
modelexport analyze net.annotated.onnx
""",
    "trace": """
modelexport trace net.py:build net.onnx
modelexport trace ./minilm minilm.onnx --exporter torchscript --opset 17
modelexport trace ./minilm minilm.onnx --config export_config.json --dry-run
modelexport trace net.py:build --record-only net.record.json
""",
    "annotate": """
modelexport annotate net.onnx --record net.trace.json -o net.annotated.onnx
modelexport annotate optimised.onnx --record net.trace.json -o named.onnx --inject names
modelexport annotate net.onnx --record net.trace.json -o folded.onnx --inject functions
modelexport annotate int8.onnx --record net.trace.json --explain '#4'
modelexport annotate int8.onnx --from net.annotated.onnx -o int8.annotated.onnx --report -
""",
    "export": """
modelexport export net.py:build net.onnx
modelexport export ./minilm minilm.onnx --config export_config.json
modelexport export ./minilm minilm.onnx --strategy htp --opset 17 --clean-onnx
modelexport export net.py:build folded.onnx --inject functions --report report.json
modelexport export net.py:build net.onnx --dynamic --dry-run
""",
    "analyze": """
modelexport analyze net.annotated.onnx
modelexport analyze net.annotated.onnx --output-format table --depth 2
modelexport analyze net.annotated.onnx --module layers.1 --sort macs
modelexport analyze before.onnx after.onnx --output-format markdown
""",
    "validate": """
modelexport validate net.annotated.onnx
modelexport validate net.annotated.onnx --record net.trace.json --reference net.onnx
modelexport validate net.annotated.onnx --check-consistency --strict
""",
    "compare": """
modelexport compare fp32.onnx int8.onnx
modelexport compare before.onnx after.onnx --numeric --output-format markdown
modelexport compare net.annotated.onnx int8.onnx --record net.trace.json --numeric
modelexport compare fp32.onnx int8.onnx --module layers.1 --depth 1
modelexport compare net.py:build net.onnx --record net.trace.json --numeric
modelexport compare ./minilm optimised.onnx --numeric --inputs inputs.npz --all
modelexport compare fp32.onnx int8.onnx --record net.trace.json --numeric --suggest
""",
    "profile": """
modelexport profile net.annotated.onnx
modelexport profile net.annotated.onnx --level basic --runs 50 --sort time --output-format table
modelexport profile net.annotated.onnx --record net.trace.json --by line
modelexport profile optimised.onnx --record net.trace.json --trace trace.json
modelexport profile fp32.onnx int8.onnx --threads 1
modelexport profile net.annotated.onnx --import trt_profile.json --layer-info trt_layers.json
""",
    "extract": """
modelexport extract net.annotated.onnx layers.1 -o layer1.onnx
modelexport extract net.annotated.onnx layers.0-1 -o layers.onnx --check
modelexport extract optimised.onnx layers.0 --record net.trace.json -o l0.onnx --save-inputs l0.npz
""",
    "split": """
modelexport split net.annotated.onnx --parts 2 -o parts --check
modelexport split net.annotated.onnx --stages 'layers.0-1;layers.2,head' -o stages
modelexport split net.annotated.onnx --parts 2 --balance time --profile profile.json -o timed
modelexport split optimised.onnx --record net.trace.json --parts 3 --balance bytes -o thirds
modelexport split net.annotated.onnx --parts 2 --assignments -o olive
""",
    "select": """
modelexport select net.annotated.onnx --module layers.1
modelexport select net.annotated.onnx --module 'layers.*' --op-type Gemm --format ort
modelexport select net.annotated.onnx --record net.trace.json --line net.py:13
modelexport select optimised.onnx --record net.trace.json --class Linear --not --format fp16
modelexport select net.annotated.onnx --module head --format layer-ann --device cpu -o placed.onnx
""",
    "report": """
modelexport report net.annotated.onnx -o report.html
modelexport report net.annotated.onnx -o report.html --profile profile.json --source-root .
modelexport report net.annotated.onnx int8.onnx --record net.trace.json -o report.html
""",
    "strip": """
modelexport strip net.annotated.onnx -o net.plain.onnx
modelexport strip folded.onnx -o flat.onnx --functions
modelexport strip net.annotated.onnx -o named.onnx --keep names
""",
    "batch": """
modelexport batch plan.toml
modelexport batch plan.toml --workers 2 --resume
modelexport batch plan.toml --cluster tcp://scheduler:8786
""",
    "doctor": """
modelexport doctor
modelexport doctor --output-format json
""",
}
"""Command lines by the command's name; that of `""` is the whole program."""


def examples(command: str) -> str:
    """The examples of a command as they stand below its help text."""
    lines = [f"  {line}" for line in EXAMPLES[command].strip().splitlines()]
    return "\n".join(["\b", "Examples:", *lines])
