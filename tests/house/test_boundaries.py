"""What each package gives out, and what it never imports."""

import importlib
import subprocess
import sys

import pytest

import modelexport

PUBLIC = {
    "modelexport": {
        *(
            "Analysis",
            "AnnotateOptions",
            "AnnotateReport",
            "Candidate",
            "ChangedWeight",
            "Comparison",
            "Decision",
        ),
        *("Deviation", "Diagnosis", "EvidenceKind", "ExportConfig", "ExportFailedError"),
        *("ExportResult", "Exporter", "Fault", "FileFacts", "FileProblem", "FoldMode"),
        *("FoldReport", "FoldRules", "ForeignRecordError", "Inject", "InputSpec", "InputsError"),
        *("MatchEvidence", "MatchOptions", "MissingExtraError", "ModelExportError", "ModuleChange"),
        *("ModuleRow", "Numeric", "NumericComparison", "OnnxFileError", "PlanError", "Prototype"),
        *("ModuleTime", "ModuleTimes", "NodeTime", "Profile", "ProfileComparison"),
        *("ImportedProfile", "ProfileFiles", "ProfileOptions", "compare_profiles", "profile"),
        *("NoSuchModuleError", "PartsProfile", "sum_profiles"),
        *("Record", "RecordError", "RecordResult", "RuntimeFailedError", "SelectedNode"),
        *("Selection", "SettingsError", "select_nodes", "BoundaryTensor", "Extraction", "extract"),
        *("Split", "SplitPart", "split"),
        *("SourceError", "Status", "StripResult", "SurgeryError", "TagRules", "TagStyle"),
        *("TorchNN", "TraceOptions", "TracePlan", "TraceResult", "TraceSummary", "Unaligned"),
        *("UnfoldReport", "UnresolvedNode", "UsageError", "Validation", "analyze", "annotate"),
        *(
            "report",
            "PlaceOptions",
            "RunLimitError",
            "PartsPlan",
            "PartsResult",
            "plan_parts",
            "trace_parts",
        ),
        *("ModelComparison", "ModuleComparison", "ModuleError", "SuggestedModule", "Suggestion"),
        *("ValueStatus", "compare_source", "compare_source_parts", "ModuleGraph", "open_graph"),
        *("compare", "diagnose", "export", "find_decisions", "load", "load_plan", "plan_source"),
        *("read_export_config", "read_record", "record", "run_plan", "strip", "trace"),
        *("trace_source", "unfold", "validate"),
    },
    "modelexport.hierarchy": {
        *("Module", "ModuleTree", "Parameter", "Record", "TagRules"),
        *("TagStyle", "Tagger", "TorchNN", "read_record", "record_path"),
    },
    "modelexport.rewriter": {
        *(
            "Analysis",
            "AnnotateOptions",
            "AnnotateReport",
            "Candidate",
            "ChangedWeight",
            "Comparison",
        ),
        *("Decision", "Deviation", "ModelComparison", "ModuleComparison", "ModuleError"),
        *("SuggestedModule", "Suggestion", "ValueStatus", "compare_run"),
        *("ModuleGraph", "open_graph"),
        *("Fault", "FileFacts", "FoldReport", "FoldRules", "MatchOptions", "ModuleChange"),
        *("ModuleRow", "Numeric", "NumericComparison", "Prototype", "Status", "StripResult"),
        *("Split", "SplitPart", "split"),
        *("BoundaryTensor", "Extraction", "SelectedNode", "Selection", "extract", "select_nodes"),
        *("Unaligned", "UnfoldReport", "UnresolvedNode", "Validation"),
        *("ModuleTime", "ModuleTimes", "NodeTime", "Profile", "ProfileComparison"),
        *("compare_profiles", "profile", "report", "PartsProfile", "sum_profiles"),
        *("analyze", "annotate", "compare", "find_decisions", "strip", "unfold", "validate"),
    },
    "modelexport.pipeline.batch": {
        *("LoadedPlan", "Plan", "Row", "SilentWatcher", "Summary", "Watcher"),
        *("load_plan", "markdown", "run_plan"),
    },
    "modelexport.tracer": {
        *("Loaded", "Origin", "RecordResult", "TraceResult", "load", "load_from_config"),
        *("model_parts", "part_connections", "plan_trace", "record", "run_modules", "trace"),
        *("record_loaded", "trace_loaded"),
    },
    "modelexport.pipeline": {
        *("Diagnosis", "ExportResult", "PackageState", "diagnose", "export"),
        *("PartsPlan", "PartsResult", "plan_parts", "plan_source"),
        *("trace_parts", "trace_source"),
    },
    "modelexport.cli": {"app", "main"},
}


def test_every_error_is_public() -> None:
    """Whoever calls a function can catch what it raises."""
    module = importlib.import_module("modelexport.errors")
    errors = {name for name, value in vars(module).items() if isinstance(value, type)}
    assert errors <= set(importlib.import_module("modelexport").__all__)
    assert len(errors) > 1


@pytest.mark.parametrize("package", PUBLIC)
def test_the_public_names_are_these(package: str) -> None:
    """`__all__` is the public API: sorted, importable, and changed on purpose only."""
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(PUBLIC[package])
    assert {name for name in PUBLIC[package] if not hasattr(module, name)} == set()


def test_editors_offer_the_public_names() -> None:
    """Also before a name was first used."""
    assert dir(modelexport) == sorted(modelexport.__all__)


@pytest.mark.parametrize("package", PUBLIC)
def test_other_names_are_unknown(package: str) -> None:
    """A package that gives its names out lazily refuses a wrong one as any other does."""
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match="has no attribute 'nothing_of_the_kind'"):
        module.nothing_of_the_kind  # noqa: B018 - the access is the test


def loaded(*statements: str) -> set[str]:
    """What is in memory after the statements ran in a fresh interpreter.

    Top-level packages by their names, and the rooms of the product as `modelexport.<room>`.
    """
    names = "{'.'.join(n.split('.')[:1 + n.startswith('modelexport.')]) for n in sys.modules}"
    code = "; ".join([*statements, "import sys", f"print(*{names})"])
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_the_public_api_loads_nothing_heavy() -> None:
    """`import modelexport` costs next to nothing: names load their modules when asked for."""
    heavy = {"torch", "transformers", "numpy", "onnx", "onnxruntime"}
    rooms = {"modelexport.hierarchy", "modelexport.rewriter", "modelexport.tracer"}
    memory = loaded("import modelexport")
    assert "modelexport" in memory
    assert not memory & (heavy | rooms)


def test_the_public_api_is_imported_in_no_time() -> None:
    """The fastest of three imports takes less than a tenth of a second."""
    code = "import time as t; b = t.perf_counter(); import modelexport; print(t.perf_counter() - b)"
    command = [sys.executable, "-c", code]
    seconds = [float(subprocess.check_output(command, text=True)) for _ in range(3)]
    assert min(seconds) < 0.1


def test_annotating_from_the_public_api_needs_no_torch() -> None:
    """What needs no tracer is reached without it."""
    names = "from modelexport import analyze, annotate, compare, strip, unfold, validate"
    assert not loaded(names) & {"torch", "transformers", "modelexport.tracer"}


def test_hierarchy_needs_neither_torch_nor_onnxruntime() -> None:
    """The ground floor is light."""
    others = {"torch", "transformers", "onnxruntime", "modelexport.rewriter"}
    assert not loaded("import modelexport.hierarchy") & others


def test_rewriter_never_imports_torch() -> None:
    """Annotating, analyzing and validating work where torch is not installed."""
    names = "from modelexport.rewriter import analyze, annotate, compare, strip, validate"
    assert not loaded(names) & {"torch", "transformers", "modelexport.tracer"}


def test_the_pipeline_asks_the_tracer_only_when_there_is_something_to_trace() -> None:
    """Its own code loads without torch."""
    names = "from modelexport.pipeline import diagnose, export, plan_source, trace_source"
    assert not loaded(names) & {"torch", "transformers", "modelexport.tracer", "onnxruntime"}


def test_the_command_line_starts_light() -> None:
    """Showing help or the version loads no onnx, no onnxruntime, no torch."""
    heavy = {"torch", "transformers", "onnx", "onnxruntime"}
    assert not loaded("import modelexport.cli.main") & heavy


def test_batch_plans_need_nothing_heavy() -> None:
    """Reading a plan, and seeing that all of it is done, loads no torch, no onnx and no Dask."""
    heavy = {"torch", "transformers", "onnx", "onnxruntime", "distributed", "dask"}
    assert not loaded("import modelexport.pipeline.batch") & heavy
