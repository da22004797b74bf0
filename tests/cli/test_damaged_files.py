"""Damaged records, metadata and settings end in one sentence with the file and the place."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from modelexport.hierarchy import keys
from tests.helpers.commands import Run

DEEP = b'{"a":' + b"[" * 100_000
NOT_TEXT = b'{"format": "modelexport.trace", "version": 1, "digest": "\xff"}'
HUGE = b'{"format": "modelexport.trace", "version": 1' + b"0" * 5000 + b"}"


def assert_one_sentence(result: tuple[int, str, str], name: str) -> None:
    code, _, err = result
    assert code in {1, 2}
    (line,) = err.splitlines()
    assert "unexpected" not in line
    assert name in line


@pytest.mark.parametrize("content", [DEEP, NOT_TEXT, HUGE, b"\xff\xfe", b"[]", b"\0"])
def test_records(run: Run, plain: Path, tmp_path: Path, content: bytes) -> None:
    """A record with broken JSON is named."""
    (tmp_path / "r.json").write_bytes(content)
    result = run("annotate", plain, "--record", tmp_path / "r.json", "-o", tmp_path / "o.onnx")
    assert_one_sentence(result, "r.json")
    assert not (tmp_path / "o.onnx").exists()


@pytest.mark.parametrize("suffix", ["toml", "json", "yaml"])
@pytest.mark.parametrize("content", [DEEP, b'a = "\xff"', b"workers: 1" + b"0" * 5000, b"\0"])
def test_plans(run: Run, tmp_path: Path, content: bytes, suffix: str) -> None:
    """A plan with broken content is named."""
    (tmp_path / f"plan.{suffix}").write_bytes(content)
    assert_one_sentence(run("batch", tmp_path / f"plan.{suffix}", "--dry-run"), f"plan.{suffix}")


@pytest.mark.parametrize("key", [keys.MODULES, keys.NAMES, keys.PARAMETERS])
@pytest.mark.parametrize("value", ["[" * 50_000, "{", '{"modules": [{"path": 1}]}', "[1e999]"])
def test_metadata(run: Run, annotated: Path, key: str, value: str) -> None:
    """Entries of the model that cannot be read are named with the file."""
    model = onnx.load(annotated)
    kept = [entry for entry in model.metadata_props if entry.key != key]
    pairs = [(entry.key, entry.value) for entry in kept]
    del model.metadata_props[:]
    for name, text in [*pairs, (key, value)]:
        model.metadata_props.add(key=name, value=text)
    onnx.save(model, annotated)
    for command in ("analyze", "validate"):
        code, _, err = run(command, annotated)
        assert code in {0, 1, 2}
        assert "unexpected" not in err


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"hierarchy_tag", "graph.node"),
        (b"hierarchy.modules", "metadata_props"),
        (b"/Net", "graph.node"),
    ],
)
def test_text_that_is_not_utf8(run: Run, annotated: Path, text: bytes, place: str) -> None:
    """Bytes in the place of text: the command works, or names the file and the place."""
    data = annotated.read_bytes()
    broken = text[:-1] + b"\xff"
    annotated.write_bytes(data.replace(text, broken))
    assert text in data
    for command in ("analyze", "validate"):
        code, _, err = run(command, annotated)
        assert "unexpected" not in err
        assert code in {0, 1, 2}
        assert place in err or "UTF-8" not in err


@pytest.mark.parametrize(
    "command",
    [
        *("validate", "select --module layer.0", "extract layer.0 -o new.onnx"),
        *("split --parts 2 -o new", "annotate --from damaged.onnx -o new.onnx --no-run"),
    ],
)
def test_names_that_are_not_utf8(
    run: Run, annotated: Path, working_folder: Path, command: str
) -> None:
    """Whatever leaves the file with a result is text; else the place is told, and nothing left."""
    model, data = onnx.load(annotated), annotated.read_bytes()
    last = model.graph.node[-1]
    texts = {last.name, *last.input, *last.output, model.graph.initializer[0].name} - {""}
    assert len(texts) > 3
    name, *rest = command.split()
    for text in sorted(texts):
        old = text.encode()
        Path("damaged.onnx").write_bytes(data.replace(old, old[:-1] + b"\xff"))
        before = set(working_folder.iterdir())
        result = run(name, annotated if name == "annotate" else "damaged.onnx", *rest)
        assert "unexpected" not in result.err
        assert result.code in {0, 1, 2}
        new = set(working_folder.iterdir()) - before
        if result.code == 2:
            assert_one_sentence(result, "damaged.onnx")
            assert not new
        for path in new:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_module_tree_without_a_root(run: Run, annotated: Path) -> None:
    """Tags begin with the class of the root: without one, the file is named and nothing is read."""
    model = onnx.load(annotated)
    (entry,) = (e for e in model.metadata_props if e.key == keys.MODULES)
    entry.value = entry.value.replace('"path":""', '"path":"other"')
    assert '"path":"other"' in entry.value
    onnx.save(model, annotated)
    for command in ("analyze", "validate"):
        result = run(command, annotated)
        assert_one_sentence(result, annotated.name)
        assert "no root module" in result.err


def test_archives_of_a_version_that_nobody_reads(run: Run, annotated: Path, tmp_path: Path) -> None:
    """An .npz file that Python's zip reader does not support is refused by name."""
    np.savez(tmp_path / "in.npz", x=np.ones((4, 4), np.float32))
    data = bytearray((tmp_path / "in.npz").read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 6 : entry + 8] = b"\xff\xff"  # the version that is needed to read it
    (tmp_path / "in.npz").write_bytes(data)
    files = (annotated, annotated, "--numeric", "--probe", tmp_path / "in.npz")
    assert_one_sentence(run("compare", *files), "in.npz")


def circle(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = model.graph.node[-1].output[0]


def constant_without_output(model: onnx.ModelProto) -> None:
    del next(n for n in model.graph.node if n.op_type == "Constant").output[:]


def quantiser_without_output(model: onnx.ModelProto) -> None:
    scale = onnx.numpy_helper.from_array(np.float32(1), "a_scale")
    model.graph.initializer.append(scale)
    first = model.graph.node[0]
    name = f"{model.graph.input[0].name}_quantised"
    quantise = onnx.helper.make_node(
        "QuantizeLinear", [model.graph.input[0].name, "a_scale"], [name]
    )
    read = onnx.helper.make_node("DequantizeLinear", [name, "a_scale"], [f"{name}_back"])
    other = onnx.helper.make_node("Neg", [f"{name}_back"], [])
    other.metadata_props.extend(first.metadata_props)
    model.graph.node.extend([quantise, read, other])


def quantiser_without_scale(model: onnx.ModelProto) -> None:
    quantiser_without_output(model)
    del model.graph.node[-3].input[1:]
    model.graph.node[-1].output.append("last")


def copy_without_output(model: onnx.ModelProto) -> None:
    model.graph.node.add(op_type="Identity", input=[model.graph.node[0].output[0]])


def number_without_end(model: onnx.ModelProto) -> None:
    (entry,) = (e for e in model.metadata_props if e.key == keys.MODULES)
    entry.value = entry.value.replace('"path":"layer.0', f'"path":"layer.{"9" * 5000}')


def huge_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2**40


def input_twice(model: onnx.ModelProto) -> None:
    model.graph.input.add(name=model.graph.input[0].name)


def tree_with_a_gap(model: onnx.ModelProto) -> None:
    (entry,) = (e for e in model.metadata_props if e.key == keys.MODULES)
    entry.value = entry.value.replace('"path":"layer.0"', '"path":"elsewhere"')


def element_type_of_nobody(model: onnx.ModelProto) -> None:
    constant = next(n for n in model.graph.node if n.op_type == "Constant")
    constant.attribute[0].t.data_type = 65


def cast_of_nothing(model: onnx.ModelProto) -> None:
    node = model.graph.node[0]
    node.op_type = "Cast"
    del node.input[:]


def weights_beyond_any_number(model: onnx.ModelProto) -> None:
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend([2**62] * 20)


def branch_twice(model: onnx.ModelProto) -> None:
    branches = [
        onnx.helper.make_graph([onnx.helper.make_node("Neg", ["y"], [name])], name, [], [])
        for name in "abc"
    ]
    node = model.graph.node.add(op_type="If", input=["y"], output=["z"])
    for name, branch in zip(("then_branch", "else_branch", "else_branch"), branches, strict=True):
        node.attribute.append(onnx.helper.make_attribute(name, branch))


@pytest.mark.parametrize(
    "change",
    [
        *(circle, constant_without_output, huge_input, input_twice, tree_with_a_gap),
        *(
            quantiser_without_output,
            quantiser_without_scale,
            copy_without_output,
            number_without_end,
        ),
        *(element_type_of_nobody, cast_of_nothing, weights_beyond_any_number, branch_twice),
    ],
)
def test_damaged_graphs(
    run: Run,
    annotated: Path,
    plain_record: Path,
    tmp_path: Path,
    change: Callable[[onnx.ModelProto], None],
) -> None:
    """Every command works on a damaged graph, or refuses it in one sentence."""
    model = onnx.load(annotated)
    change(model)
    damaged = tmp_path / "damaged.onnx"
    onnx.save(model, damaged)
    folding = ("--record", plain_record, "--inject", "functions", "--replace-keys", "--force")
    for command in (
        *(["analyze", damaged], ["validate", damaged], ["compare", damaged, annotated]),
        ["annotate", damaged, "-o", tmp_path / "new.onnx", *folding],
        ["compare", damaged, annotated, "--numeric"],
    ):
        code, _, err = run(*command)
        assert code in {0, 1, 2}
        assert "unexpected" not in err
        assert "not enough memory" not in err


def test_an_operator_that_is_no_text(run: Run, annotated: Path) -> None:
    """`validate` reports the fault that onnx's checker finds; whoever reads it gets the place."""
    data = annotated.read_bytes()
    plain = annotated.with_name("plain.onnx")
    plain.write_bytes(data)
    assert data.count(b"MatMul") > 0
    annotated.write_bytes(data.replace(b"MatMul", b"MatMu\xff"))
    for command in (
        ["validate", annotated],
        ["annotate", plain, "--from", annotated, "-o", annotated.with_name("new.onnx")],
    ):
        code, out, err = run(*command)
        assert code in {1, 2}
        assert "unexpected" not in err
        assert "EP Error" not in out + err


@pytest.mark.parametrize("dims", [[2**62] * 20, [2**63 - 1, 2**63 - 1], [-5, 4]])
def test_declared_shapes_that_no_value_has(
    run: Run, annotated: Path, plain: Path, tmp_path: Path, dims: list[int]
) -> None:
    """Their number of elements is beyond what any number format holds; they count as unknown."""
    model = onnx.load(annotated)
    for node in model.graph.node:
        value = onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, dims)
        model.graph.value_info.append(value)
    onnx.save(model, annotated)
    probe = tmp_path / "inputs.npz"
    np.savez(probe, **{v.name: np.ones((2, 4), np.float32) for v in model.graph.input})
    for command in (
        ["analyze", annotated],
        ["split", annotated, "--parts", "2", "-o", tmp_path / "new"],
        ["annotate", plain, "--from", annotated, "--probe", probe, "-o", tmp_path / "new.onnx"],
    ):
        code, out, err = run(*command)
        assert code in {0, 1, 2}
        assert "unexpected" not in err
        assert "e+" not in out
