"""Fuzz the readers, guided by coverage: `python scripts/fuzz_readers.py --seconds 180`.

It needs atheris, which is no dependency of Tunesmith: `pip install atheris` where Tunesmith and its tests' packages are
installed. An input's first byte says which kind of file it is, the second how it is read, and the rest is the file.

A finding is: an exception that is no TunesmithError, an error or a rejected row without a mend, a row that is lost
without record, an example that cannot be stored, more than 10 s, or more than 2 GB. Each is kept as the input that
showed it, with its traceback beside it. `--replay FILE` reads one again.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.util
import io
import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SECONDS_FOR_ONE = 10
MEMORY = 2 * 2**30
LONGEST = 1 << 15
FILES = ("jsonl", "json", "csv", "tsv", "md", "xlsx", "parquet")
SHEET_PARTS = ("sheet", "strings")
DATASET_PARTS = ("arrow", "state.json", "dataset_info.json")
KINDS = FILES + SHEET_PARTS + DATASET_PARTS
FORMATS = (None, "chat", "sharegpt", "alpaca", "gemini", "bedrock", "prompt_completion", "document")
TOLD = re.compile(rb"#(\d+)\s+\w+\s+cov: (\d+)")


class Finding(Exception):
    """What is wrong although nothing was raised."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--corpus", type=Path, help="Folder of inputs to begin with, which grows. Default: a new one.")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"))
    parser.add_argument("--replay", type=Path, help="Read this input once and say what comes of it.")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.worker:
        fuzz(options)
    elif options.replay:
        examine(options.replay.read_bytes(), Path(tempfile.mkdtemp()))
    else:
        watch(options)


def watch(options: argparse.Namespace) -> None:
    """Fuzz in a process that is started again when an input ends it, until the time is over."""
    if importlib.util.find_spec("atheris") is None:
        sys.exit("The fuzzer needs atheris.\n  To mend it: pip install atheris")
    corpus = options.corpus or Path(tempfile.mkdtemp(prefix="corpus-"))
    corpus.mkdir(parents=True, exist_ok=True)
    options.findings.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number:03}").write_bytes(seed)
    until, executions, covered = time.monotonic() + options.seconds, 0, 0
    while (left := round(until - time.monotonic())) > 0:
        arguments = ["--seconds", str(left), "--corpus", str(corpus), "--findings", str(options.findings)]
        done, covered = run_worker(arguments)
        if not done:
            sys.exit("The fuzzer did not begin; what it said stands above.")
        executions += done
    findings = sorted(path for path in options.findings.iterdir() if path.suffix != ".txt")
    sys.stdout.write(f"{executions:,} executions, {covered:,} places covered, {len(findings)} findings\n")
    sys.stdout.write("".join(f"  {path}\n" for path in findings))
    sys.exit(1 if findings else 0)


def run_worker(arguments: Sequence[str]) -> tuple[int, int]:
    """Executions and places covered, as the worker last told them. What it says is shown as it comes."""
    told = (0, 0)
    with subprocess.Popen([sys.executable, __file__, "--worker", *arguments], stderr=subprocess.PIPE) as worker:
        assert worker.stderr is not None
        for line in worker.stderr:
            sys.stderr.buffer.write(line)
            if found := TOLD.match(line):
                told = (int(found[1]), int(found[2]))
    return told


def fuzz(options: argparse.Namespace) -> None:
    import atheris

    with atheris.instrument_imports(include=["tunesmith", "openpyxl"], enable_loader_override=False):
        import openpyxl.reader.excel  # noqa: F401

        import tunesmith.data.infer
        import tunesmith.data.readers  # noqa: F401
    read_workbooks_here()
    bound_memory()
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    known: set[str] = set()

    def one(content: bytes) -> None:
        try:
            examine(content, folder)
        except Exception as error:
            keep(options.findings, content, error, known)

    flags = [
        f"-max_total_time={options.seconds}",
        f"-timeout={3 * SECONDS_FOR_ONE}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={options.findings}/ended-",
        "-rss_limit_mb=4096",
        "-print_final_stats=1",
        "-use_value_profile=1",
    ]
    atheris.Setup([sys.argv[0], *flags, str(options.corpus)], one)
    atheris.Fuzz()


def read_workbooks_here() -> None:
    """Workbooks are read in a process apart, where coverage is not seen; here they are read in this one."""
    from tunesmith.data.readers import source
    from tunesmith.data.readers.workbook import workbook_rows

    apart = source.rows_apart

    def rows(kind: Any, path: Path, name: str, say: Any) -> Iterator[Any]:
        if kind != "xlsx":
            yield from apart(kind, path, name, say)
            return
        with path.open("rb") as file:
            yield from workbook_rows(file, name, say)

    source.rows_apart = rows


def bound_memory() -> None:
    with contextlib.suppress(ImportError):
        import resource

        import psutil

        most = psutil.Process().memory_info().vms + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))


def keep(folder: Path, content: bytes, error: Exception, known: set[str]) -> None:
    """Keep the first input that shows a finding; a shorter one takes its place."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = str(error).partition(":")[0][:40] if isinstance(error, Finding) else ""
    name = re.sub(r"\W+", "-", f"{type(error).__name__}-{Path(frame.filename).stem}-{frame.name}-{said}").strip("-")
    path = folder / name
    if name not in known or len(content) < path.stat().st_size:
        known.add(name)
        path.write_bytes(content)
        path.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))


# --- one input


def examine(content: bytes, folder: Path) -> None:
    """Read one input as `add` and `init --from` do.

    Raises:
        Exception: Whatever is a finding.
    """
    from tunesmith.data.infer import infer_task
    from tunesmith.data.readers import read

    if len(content) < 3:
        return
    kind = KINDS[content[0] % len(KINDS)]
    path = laid_out(kind, content[2:], folder)
    options = options_of(content[1])
    began = time.monotonic()
    items = list(refused_or(lambda: read(path, options)) or ())
    for item in items:
        ask_sound(item)
    if items and (rows := rows_in(kind, content[2:])) is not None and len(items) != rows:
        raise Finding(f"rows lost: {len(items)} of {rows} came out")
    list(refused_or(lambda: [infer_task(path)]) or ())
    if (seconds := time.monotonic() - began) > SECONDS_FOR_ONE:
        raise Finding(f"too slow: {seconds:.0f} s")


def options_of(code: int) -> Any:
    from tests.data.rows import DESK, INTENT

    from tunesmith.data.readers import ReadOptions

    kind, code = FORMATS[code % len(FORMATS)], code // len(FORMATS)
    task, code = (None, INTENT, DESK)[code % 3], code // 3
    named = {"mapping": {"prompt": "a", "completion": "b"}} if code % 3 == 1 else {}
    return ReadOptions(task=task, format=kind, as_="document" if kind == "document" else "human", **named)


def refused_or(make: Callable[[], Any]) -> list[Any] | None:
    """All that comes; None where it is refused as it should be."""
    from tunesmith.core.errors import TunesmithError

    try:
        return list(make())
    except TunesmithError as error:
        if not error.problem or not error.mend or "\n" in error.problem:
            raise Finding(f"error without words: {error!r}") from error
        error.problem.encode()
        return None


def ask_sound(item: Any) -> None:
    from tunesmith.core.codec import canonical
    from tunesmith.core.examples import Rejected

    if isinstance(item, Rejected) and not (item.problem and item.mend and item.line >= 0):
        raise Finding(f"rejected without words: {item}")
    if b"\\u0000" in canonical(item).replace(b"\\\\", b""):
        raise Finding("null character: it cannot be stored")


def rows_in(kind: str, content: bytes) -> int | None:
    """How many rows the file has, counted in another way; None where that is not known."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = content.removeprefix(b"\xef\xbb\xbf")
    if kind == "jsonl":
        return sum(not line.isspace() for line in content.split(b"\n") if line)
    try:
        if kind == "json":
            return len(rows) if isinstance(rows := json.loads(content), list) else None
        if kind == "parquet":
            return int(pq.ParquetFile(io.BytesIO(content)).metadata.num_rows)
        if kind in ("csv", "tsv"):
            return table_rows(content.decode())
    except (csv.Error, ValueError, RecursionError, OSError, pa.ArrowException):
        return None
    return None


def table_rows(text: str) -> int | None:
    """Rows of a table without a fault, by the standard library alone."""
    from tunesmith.data.readers.tables import sniff_delimiter

    head = text.encode()[: 1 << 16].decode(errors="replace")
    delimiter, _ = sniff_delimiter(head[: head.rfind("\n") + 1] or head)
    lines = [line + "\n" for line in text.removesuffix("\n").split("\n")]
    records = [cells for cells in csv.reader(lines, delimiter=delimiter, strict=True) if cells]
    return None if "\0" in text else sum(any(cells) for cells in records[1:])


def laid_out(kind: str, content: bytes, folder: Path) -> Path:
    """The file, or the data set folder of which the content is a part."""
    from tests.data.files import sheet_xml, write_dataset

    if kind in SHEET_PARTS:
        sheet = content.decode(errors="replace") if kind == "sheet" else SHEET
        extra = [("xl/sharedStrings.xml", content)] if kind == "strings" else []
        return sheet_xml(folder / "a.xlsx", sheet, extra)
    if kind in DATASET_PARTS:
        data_set = folder / kind / "set"
        if not data_set.exists():
            write_dataset(data_set, {"text": ["a", "b"], "label": [0, 1]})
        (data_set / ("data-00000-of-00001.arrow" if kind == "arrow" else kind)).write_bytes(content)
        return data_set
    path = folder / f"a.{kind}"
    path.write_bytes(content)
    return path


# --- inputs to begin with

SHEET = """<row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>
<row r="2"><c r="A2" t="s"><v>2</v></c></row>"""


def seeds() -> Iterator[bytes]:
    """Files that the writers made, the bundled examples, and one row of each format, read in several ways."""
    files = [*written_files(), *bundled_files()]
    for kind, content in files:
        if len(content) < LONGEST:
            for code in (0, 8, 16, 24) if kind in ("jsonl", "csv") else (0,):
                yield bytes([KINDS.index(kind), code]) + content


def written_files() -> Iterator[tuple[str, bytes]]:
    from tests.data.files import label_features, write_dataset, write_sheet
    from tests.data.test_readers_fuzz import VALID
    from tests.data.test_writers import SUFFIX

    from tunesmith.core.examples import Example, Message, Origin
    from tunesmith.data.writers import file_formats, write_examples

    pair = (Message(role="system", content="Be kind."), Message(role="user", content="Where is it?"))
    tags = {"group": "g", "category": "c", "edge_case": "ambiguous", "time": "2026-03-01T12:00:00+00:00"}
    rows = [
        Example.make(pair, "=shipping", origin=Origin(file="a", line=1, id="7"), **tags),
        Example.make(pair[1:], "top_up", origin=Origin(file="a", line=2)),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for form in file_formats:
            for suffix in (".jsonl", ".json") if form not in SUFFIX else (SUFFIX[form],):
                write_examples(folder / f"a{suffix}", rows, form, tags=True)
                yield suffix[1:], (folder / f"a{suffix}").read_bytes()
        for row in VALID.values():
            yield "jsonl", json.dumps(row).encode() + b"\n"
        columns = {"text": ["a", "b"], "label": [0, 1]}
        write_dataset(folder / "set", columns, label_features("label", ["x", "y"]))
        for part in ("state.json", "dataset_info.json"):
            yield part, (folder / "set" / part).read_bytes()
        yield "arrow", (folder / "set/data-00000-of-00001.arrow").read_bytes()
        write_sheet(folder / "b.xlsx", ["text", "label", "time"], ["Hi", 7, "2026-03-01"], ["Ho", True, None])
        with zipfile.ZipFile(folder / "b.xlsx") as book:
            yield "sheet", re.findall(rb"<sheetData>(.*)</sheetData>", book.read("xl/worksheets/sheet1.xml"))[0]
        yield "strings", b"<sst><si><t>text</t></si><si><t>label</t></si><si><r><t>Hi</t></r></si></sst>"
        yield "sheet", SHEET.encode()


def bundled_files() -> Iterator[tuple[str, bytes]]:
    kinds = {".jsonl": "jsonl", ".json": "json", ".md": "md", ".csv": "csv"}
    folders = (ROOT / "tests/fixtures", ROOT / "src/tunesmith/examples")
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in kinds):
        yield kinds[path.suffix], path.read_bytes()[:4000]
    yield "tsv", b'text\tlabel\nHi\tx\n"a\nb"\ty\n'


if __name__ == "__main__":
    main()
