"""Whether the scan can see: a value of chance is planted in every format and place, and the very same scan has to find it there.

Beside each control stands its neighbour, the same value with one more character: a scan that finds that one too would call anything found. A
reader that is blind in one place proves nothing about it, so a check with it fails.
"""

from __future__ import annotations

import base64
import gzip
import io
import secrets
import sqlite3
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.assurance.residue.duckdb_live import scan_duckdb
from pipelines.assurance.residue.needles import Needles, needles
from pipelines.assurance.residue.scan import Subjectfile, scan
from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_text

PLANTED = "residue-"  # how a folder below the home's `tmp` begins in which it is
_ROWS = 40
_SIZE = 12  # letters of a value; its neighbour has one more
_TRIES = 3
_LETTERS = "bcdfghjkmnpqrstvwxz"


@dataclass(frozen=True)
class Control:
    """A place, and whether the scan found the value there and not its neighbour."""

    place: str
    seen: bool


@dataclass(frozen=True)
class _Planted:
    """A value and a number of chance, and the key of encrypted files."""

    text: str
    number: int
    key: str


Plant = Callable[[_Planted, Path, Connection], None]


def controls(folder: Path, workers: int = 1) -> list[Control]:
    """Plant a value in each place, in files below `folder` that are removed again, and look for it with the scan itself. A filter says maybe to one
    value in a hundred by chance, a neighbour too: then others are planted; who is blind is so with all of them."""
    seen = _planted(folder, workers)
    for _ in range(_TRIES - 1):
        if all(control.seen for control in seen):
            break
        seen = _planted(folder, workers)
    return seen


def _planted(folder: Path, workers: int) -> list[Control]:
    value = _Planted("".join(secrets.choice(_LETTERS) for _ in range(_SIZE)), 10**13 + secrets.randbelow(10**13),
                     base64.b64encode(secrets.token_bytes(16)).decode())
    beside = _Planted(value.text + secrets.choice(_LETTERS), value.number * 10 + 1, value.key)
    wanted = needles([value.text, str(value.number)])
    with tempfile.TemporaryDirectory(dir=folder, prefix=PLANTED) as made:
        connection = engine.connect(Path(made), extensions=("httpfs",))
        try:
            return [*_files(Path(made), connection, value, beside, wanted, workers), _live(connection, value, beside, wanted)]
        finally:
            connection.close()


def _files(folder: Path, connection: Connection, value: _Planted, beside: _Planted, wanted: Needles, workers: int) -> list[Control]:
    for n, (plant, _) in enumerate(PLACES.values()):
        plant(value, folder / f"{n}-control", connection)
        plant(beside, folder / f"{n}-neighbour", connection)
    result = scan([Subjectfile(path, path.name, value.key) for path in sorted(folder.glob("*-*"))], wanted, workers)
    unread, anywhere = {one.file for one in result.unreadable}, {finding.file for finding in result.findings}
    return [Control(place, any(f.file == f"{n}-control" and f.place.startswith(beginning) for f in result.findings)
                    and f"{n}-neighbour" not in anywhere and not {f"{n}-control", f"{n}-neighbour"} & unread)
            for n, (place, (_, beginning)) in enumerate(PLACES.items())]


def _live(connection: Connection, value: _Planted, beside: _Planted, wanted: Needles) -> Control:
    seen = []
    for name, planted in (("control", value), ("neighbour", beside)):
        connection.execute(f"attach ':memory:' as {name}")
        connection.execute(f"create table {name}.t as select [{quote_text(planted.text)}] as list")
        seen.append(bool(scan_duckdb(connection, name, wanted).findings))
        connection.execute(f"detach {name}")
    return Control("DuckDB: live value", seen == [True, False])


def _fill(planted: _Planted) -> bytes:
    return b"-" * len(planted.text)


def _table(planted: _Planted) -> pa.Table:
    return pa.table({"value": [*[f"row {n}" for n in range(_ROWS)], planted.text, "~ the last"]})


def _written(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def _encrypted(version: str) -> Plant:
    values = ", ".join(f"('row {n}')" for n in range(_ROWS))

    def plant(planted: _Planted, path: Path, connection: Connection) -> None:
        connection.execute(f"copy (select * from (values {values}, ({quote_text('~' + planted.text)})) as t(v)) to {quote_text(str(path))} (format "
                           f"parquet, parquet_version {version}, codec zstd, "
                           f"encryption_config {{footer_key_value: from_base64({quote_text(planted.key)})}})")
    return plant


def _live_value(planted: _Planted, path: Path, _: Connection) -> None:
    path.write_bytes(_written(_table(planted), use_dictionary=False, write_statistics=False, compression="zstd"))


def _unused(planted: _Planted, path: Path, _: Connection) -> None:
    """A dictionary of which no row uses one value."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * _ROWS, pa.int32()), pa.array(["kept", planted.text]))
    path.write_bytes(_written(pa.table({"value": column}), write_statistics=False))


def _statistics(planted: _Planted, path: Path, _: Connection) -> None:
    """A value that was the greatest, and of which the pages know no more."""
    table = pa.table({"value": [*[f"row {n}" for n in range(_ROWS)], "~" + planted.text]})
    plain = _written(table, use_dictionary=False, compression="none", store_schema=False)
    stored = len("~" + planted.text).to_bytes(4, "little") + b"~"
    path.write_bytes(plain.replace(stored + planted.text.encode(), stored + _fill(planted), 1))


def _metadata(planted: _Planted, path: Path, _: Connection) -> None:
    path.write_bytes(_written(pa.table({"value": [1]}).replace_schema_metadata({"made for": planted.text})))


def _filter(planted: _Planted, path: Path, _: Connection) -> None:
    """A value that is nowhere any more, and that the filter still knows."""
    plain = _written(_table(planted), use_dictionary=False, compression="none", write_statistics=False, store_schema=False,
                     bloom_filter_options={"value": True})
    path.write_bytes(plain.replace(planted.text.encode(), _fill(planted)))


def _trailing(planted: _Planted, path: Path, _: Connection) -> None:
    """Bytes between the last page and the footer."""
    plain = _written(pa.table({"value": [1]}))
    footer = len(plain) - 8 - int.from_bytes(plain[-8:-4], "little")
    path.write_bytes(plain[:footer] + planted.text.encode() + plain[footer:])


def _numbers(planted: _Planted, path: Path, _: Connection) -> None:
    path.write_bytes(_written(pa.table({"value": [*range(_ROWS), planted.number]}), use_dictionary=False, write_statistics=False,
                              column_encoding={"value": "DELTA_BINARY_PACKED"}))


def _shared(planted: _Planted, path: Path, _: Connection) -> None:
    """Beginnings that two values share: neither stands there whole."""
    table = pa.table({"value": [planted.text[:6], planted.text]})
    path.write_bytes(_written(table, use_dictionary=False, write_statistics=False, column_encoding={"value": "DELTA_BYTE_ARRAY"}))


def _zip(planted: _Planted, path: Path, _: Connection) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", f"a line\nand {planted.text}\n" * _ROWS)


def _tar(planted: _Planted, path: Path, _: Connection) -> None:
    content = gzip.compress(f"a line\nand {planted.text}\n".encode())
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("member")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))


def _alive(planted: _Planted, path: Path, _: Connection, delete: bool = False) -> None:
    connection = sqlite3.connect(path)
    connection.execute("pragma secure_delete = off")
    connection.execute("create table t (a text, b text, c text)")
    connection.executemany("insert into t values ('left', ?, 'right')", [[f"row {n}"] for n in range(_ROWS)] + [[planted.text]])
    connection.commit()
    if delete:
        connection.execute("delete from t where b = ?", [planted.text])
        connection.commit()
    connection.close()


def _deleted(planted: _Planted, path: Path, connection: Connection) -> None:
    """A row of SQLite that was deleted and left its bytes; the neighbour is alive, for beside what was deleted nobody tells where it began."""
    _alive(planted, path, connection, delete=len(planted.text) == _SIZE)


def _text(write: Callable[[str], bytes]) -> Plant:
    def plant(planted: _Planted, path: Path, _: Connection) -> None:
        path.write_bytes(write(planted.text))
    return plant


# what is planted, and how the place begins that a finding of it names: the same value in a minimum would not show that pages are read
PLACES: dict[str, tuple[Plant, str]] = {
    "Parquet: live value": (_live_value, "page of"),
    "Parquet: value of a dictionary that no row uses": (_unused, "dictionary page"),
    "Parquet: minimum or maximum only": (_statistics, "footer, column"),
    "Parquet: key-value metadata": (_metadata, "key-value metadata"),
    "Parquet: bloom filter": (_filter, "bloom filter"),
    "Parquet: bytes between its parts": (_trailing, "bytes that belong to no part"),
    "Parquet: typed number": (_numbers, "page of"),
    "Parquet: shared beginnings": (_shared, "page of"),
    "Parquet encrypted, version 1: live value": (_encrypted("v1"), "page of"),
    "Parquet encrypted, version 2: live value": (_encrypted("v2"), "page of"),
    "Parquet encrypted: minimum or maximum": (_encrypted("v1"), "footer, column"),
    "text": (_text(lambda text: f"a line\n;{text};\n".encode()), "text"),
    "text: UTF-16": (_text(lambda text: f"a line\n;{text};\n".encode("utf-16")), "text"),
    "text: hexadecimal": (_text(lambda text: b"a line " + text.encode().hex().encode() + b"\n"), "text"),
    "text: base64": (_text(lambda text: b"a line " + base64.b64encode(f"to {text}.".encode()) + b"\n"), "text"),
    "text: JSON escapes": (_text(lambda text: ('{"a": "' + "".join(f"\\u{ord(c):04x}" for c in text) + '"}\n').encode()), "text"),
    "ZIP: deflated member": (_zip, "member 1: text"),
    "tar: gzip member": (_tar, "member 1: unpacked: text"),
    "gzip": (_text(lambda text: gzip.compress(f"a line\nand {text}\n".encode())), "unpacked: text"),
    "SQLite: live value": (_alive, "value of a table"),
    "SQLite: deleted row": (_deleted, "bytes that no row has"),
}
