"""Whether an annotated file is what it should be."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import onnx

from hierarchy import keys
from hierarchy.errors import RuntimeFailedError
from hierarchy.module_tree import ModuleTree
from hierarchy.record import Record, read_record
from hierarchy.tags import Tagger, TagRules, well_formed
from rewriter.consistency import Consistency, Fault, describe
from rewriter.container import OnnxContainer
from rewriter.evidence import carried as own
from rewriter.flow import Flow
from rewriter.folding import unfolded
from rewriter.ownership import Ownership
from rewriter.runtime import Feeds, Session, same_bits

_AGAIN = "annotate the file again"
_STANDARD = frozenset({"", "ai.onnx", "ai.onnx.ml"})
_WORDS = re.compile(r"[\s,:;'\"()\[\]]+|\.(?=\s|$)")
"""What stands between the words of a message, so that a node's name is one of them."""

_PROTOBUF_LIMIT = 2**31 - 1


class Validation(msgspec.Struct):
    """The outcome of the checks on one file.

    Attributes:
        file: Base name.
        checks: The checks that were made.
        faults: What they found; nothing when the file is good.
        nodes, tagged: Counts.
        notes: What was not checked, and why.
        remarks: What was found and is no fault.
    """

    file: str
    checks: list[str]
    faults: list[Fault]
    nodes: int
    tagged: int
    notes: list[str]
    remarks: list[str] = []

    @property
    def good(self) -> bool:
        """Whether no check found anything."""
        return not self.faults


def validate(
    path: str | Path,
    *,
    record: Record | str | Path | None = None,
    reference: str | Path | None = None,
    consistency: bool = False,
    strict: bool = False,
    libraries: Sequence[str | Path] = (),
) -> Validation:
    """Check an annotated file.

    The onnx checker accepts it; onnxruntime runs it; its tags are well formed and known to
    its module tree.

    Args:
        path: The file.
        record: Its trace record or the path of that: its inputs are run, its modules are known.
        reference: The plain file, whose outputs must be the same bit for bit.
        consistency: Whether to look for tags that contradict the graph as well.
        strict: Whether a node without a tag, and a check that could not be made, are faults.
        libraries: Custom operator libraries that the runtime loads first.

    Examples:
        >>> from rewriter import validate
        >>> found = validate("net.annotated.onnx", record="net.trace.json", consistency=True)
        >>> found.good, found.checks
        (True, ['tags', 'consistency', 'checker', 'runs'])
        >>> [fault.message for fault in validate("net.onnx").faults]
        ['no node carries a tag']

    Raises:
        FileProblem: A file cannot be read.
    """
    path = Path(path)
    if isinstance(record, str | Path):
        record = read_record(Path(record))
    with OnnxContainer.open(path) as container:
        model = unfolded(container.skeleton(), str(path))
        checking = _Checking(path, model, record, [str(library) for library in libraries])
        checking.tags()
        if consistency:
            checking.consistency()
    checking.checker()
    checking.runs(None if reference is None else Path(reference))
    if strict:
        checking.strict()
    return checking.result


class _Checking:
    """The checks of one file, adding to one result."""

    def __init__(
        self, path: Path, model: onnx.ModelProto, record: Record | None, libraries: list[str]
    ) -> None:
        self._path = path
        self._model = model
        self._record = record
        self._libraries = libraries
        self._flow = Flow(model)
        self._tags = {
            number: entry[keys.TAG]
            for number, node in enumerate(self._flow.nodes)
            if node.metadata_props and keys.TAG in (entry := own.metadata(node))
        }
        count = len(self._flow)
        self.result = Validation(path.name, [], [], count, len(self._tags), [])
        if not self._tags:
            self._read_elsewhere()

    def _read_elsewhere(self) -> None:
        """Tags that annotating wrote as attributes or as names only."""
        embedded = own.embedded_tree(self._model, str(self._path))
        carried = None if embedded is None else own.read(self._model, self._flow, str(self._path))
        if carried is None:
            return
        tagger = Tagger(ModuleTree(carried.modules), carried.rules)
        for number, key in enumerate(self._flow.keys):
            claim = carried.claims.by_node.get(key)
            if claim is not None:
                self._tags[number] = tagger.tag(claim.module)
        self.result.tagged = len(self._tags)
        self.result.remarks.append(f"the tags are {carried.scheme}, not metadata")

    def checker(self) -> None:
        """The checker of onnx, with shape inference."""
        if self._path.stat().st_size > _PROTOBUF_LIMIT:
            self.result.notes.append("the onnx checker was left out: it reads no file above 2 GiB")
            return
        if unknown := sorted(self._unknown_operators()):
            self.result.notes.append(
                f"the onnx checker was left out: it does not know {', '.join(unknown)}, which "
                "optimisers of onnxruntime put into ONNX's own domain"
            )
            return
        self.result.checks.append("checker")
        try:
            onnx.checker.check_model(str(self._path), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            text = str(error).strip()
            message = text.splitlines()[0].rstrip(".")
            self._fault(
                "checker", f"onnx's checker refuses it: {message}", "export it again",
                self._blamed(text),
            )  # fmt: skip

    def _unknown_operators(self) -> set[str]:
        """Operators that stand in a domain of ONNX and are none of that version."""
        versions = {entry.domain: entry.version for entry in self._model.opset_import}
        kinds = {(n.domain, n.op_type) for n in self._flow.nodes if n.domain in _STANDARD}
        return {
            kind
            for domain, kind in kinds
            if not _has_operator(domain, kind, versions.get(domain, versions.get("ai.onnx", 1)))
        }

    def _blamed(self, message: str) -> int | None:
        """The node that a message names, if it does."""
        words = set(_WORDS.split(message))
        named = [n for n, node in enumerate(self._flow.nodes) if node.name and node.name in words]
        return named[0] if len(named) == 1 else None

    def runs(self, reference: Path | None) -> None:
        """It runs, and gives what the plain file gives."""
        plain = None if reference is None else Session(reference, libraries=self._libraries)
        try:
            session = Session(self._path, libraries=self._libraries)
            feeds = self._recorded(session)
            if feeds is None and (feeds := self._generated(session)) is None:
                return
            outputs = session.run(feeds)
        except RuntimeFailedError as error:
            self.result.checks.append("runs")
            message = str(error).rstrip(".")
            advice = "export it again, or give the library of its operators with --custom-ops"
            self._fault("runs", message, advice, self._blamed(message))
            return
        self.result.checks.append("runs")
        if plain is not None:
            self.result.checks.append("reference")
            self._compare(outputs, plain, feeds, str(reference))

    def _recorded(self, session: Session) -> Feeds | None:
        """The record's inputs, where they are those of the file."""
        if self._record is None:
            return None
        found = {entry.name: entry.array() for entry in self._record.probe.inputs}
        if found and set(found) == set(session.inputs):
            return found
        self.result.notes.append("the record's inputs are not the file's: generated ones ran")
        return None

    def _generated(self, session: Session) -> Feeds | None:
        """Generated inputs; that a file runs on none of them says nothing against it."""
        try:
            return session.working_feeds()
        except RuntimeFailedError as error:
            why = str(error).rstrip(".")
            self.result.notes.append(f"it was not run: no inputs could be generated ({why})")
            return None

    def strict(self) -> None:
        """What else is not as it could be."""
        for number in range(len(self._flow)):
            if number not in self._tags:
                advice = f"annotate with --explain '{_address(self._flow, number)}' to see why"
                self._fault("strict", "it carries no tag", advice, number)
        for note in self.result.notes:
            self._fault("strict", note, "make this check possible, or leave --strict out")

    def _compare(
        self, outputs: dict[str, object], plain: Session, feeds: Feeds, where: str
    ) -> None:
        advice = "compare with the plain file of this very export"
        try:
            expected = plain.run(feeds)
        except RuntimeFailedError as error:
            self._fault("reference", str(error).rstrip("."), advice)
            return
        if list(expected) != list(outputs):
            message = f"its outputs are {_list(outputs)}, those of {where} are {_list(expected)}"
            self._fault("reference", message, advice)
            return
        for name, value in expected.items():
            if not same_bits(value, outputs[name]):
                message = f"output {name} differs from that of {where}"
                self._fault("reference", message, advice)

    def tags(self) -> None:
        """Tags are there, well formed and of the module tree."""
        self.result.checks.append("tags")
        if not self._tags:
            self._fault("tags", "no node carries a tag", "annotate the file first")
            return
        known = self._known_tags()
        for number, tag in self._tags.items():
            entry = own.metadata(self._flow.nodes[number])
            for problem in _problems(tag, entry.get(keys.COVERS), known):
                self._fault("tags", problem, _AGAIN, number, tag)

    def _known_tags(self) -> set[str] | None:
        embedded = own.embedded_tree(self._model, str(self._path))
        if embedded is None and self._record is None:
            self._fault("tags", "the file carries no module tree", _AGAIN)
            return None
        rules = TagRules()
        if embedded is not None:
            rules = own.embedded_rules(embedded, str(self._path))
        tree = (
            self._record.tree
            if self._record is not None
            else ModuleTree(embedded.modules if embedded is not None else ())
        )
        tagger = Tagger(tree, rules)
        return {tagger.tag(module.path) for module in tree}

    def consistency(self) -> None:
        """Tags agree with weights and neighbours."""
        self.result.checks.append("consistency")
        carried = own.read(self._model, self._flow, str(self._path))
        if carried is None:
            return
        said = dict(carried.parameters)
        if self._record is not None:
            said |= {t.name: t.parameter for t in self._record.tensors if t.parameter is not None}
        tree = self._record.tree if self._record is not None else ModuleTree(carried.modules)
        ownership = Ownership(self._model, tree, said)
        held, every = len(ownership.parameters), len(ownership.initializers)
        self.result.remarks.append(f"{held} of {every} initializers are known to be parameters")
        found = Consistency(self._flow, tree, carried.claims, ownership)
        self.result.faults.extend(found.faults())

    def _fault(
        self,
        check: str,
        message: str,
        advice: str,
        number: int | None = None,
        module: str | None = None,
    ) -> None:
        node = None if number is None else describe(self._flow, number)
        if module is None and number is not None:
            module = self._tags.get(number)
        self.result.faults.append(Fault(check, message, advice, node, module))


def _problems(tag: str, covers: str | None, known: set[str] | None) -> Iterator[str]:
    """What is wrong with one node's tag and the list of its origins."""
    listed: list[str] = []
    if covers is not None:
        try:
            listed = msgspec.json.decode(covers, type=list[str])
        except msgspec.DecodeError:
            yield f"its {keys.COVERS} is no JSON list of tags"
    for each in [tag, *listed]:
        if not well_formed(each):
            yield f"{each!r} is not a tag"
        elif known is not None and each not in known:
            yield f"the tag {each} is of no module in the module tree"


def _has_operator(domain: str, kind: str, version: int) -> bool:
    try:
        onnx.defs.get_schema(kind, version, "" if domain == "ai.onnx" else domain)
    except onnx.defs.SchemaError:
        return False
    return True


def _address(flow: Flow, number: int) -> str:
    """How `--explain` calls a node."""
    key = flow.keys[number]
    return f"{key.graph}#{key.position}"


def _list(names: dict[str, object]) -> str:
    return ", ".join(names)
