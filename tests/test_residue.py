"""The proof that deleted data left the files: what stands in them is found wherever and however it stands, its neighbour is not, and a file that
was not read whole is never clean."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import io
import json
import os
import sqlite3
import struct
import tarfile
import uuid
import zipfile
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_market import new_home

from pipelines.assurance.residue import bloom, codecs, controls, encodings, thrift
from pipelines.assurance.residue.duckdb_live import scan_duckdb
from pipelines.assurance.residue.formats import format_of, look_into
from pipelines.assurance.residue.lake_files import lake_files, subject_files
from pipelines.assurance.residue.needles import needles
from pipelines.assurance.residue.parquet_file import scan_parquet
from pipelines.assurance.residue.parquet_pages import BYTE_ARRAY, Column, page_values
from pipelines.assurance.residue.scan import Subjectfile, scan
from pipelines.engines.duckdb_engine import connect
from pipelines.foundation.files import sha256_of
from pipelines.lake.purge import purge
from pipelines.lake.store import opened, raw_lake

MEMBER, NEIGHBOUR = "m000077", "m0000770"
PSEUDONYM = hashlib.sha256(b"a pseudonym").digest()[:16]
KEY = base64.b64encode(bytes(range(16))).decode()
CODECS = ("uncompressed", "snappy", "zstd", "gzip", "lz4_raw", "brotli")
LOOKED_FOR = needles([MEMBER, "jean.dupont@exemple.fr", "+33612345678", "José Núñez-O'Brien"], [PSEUDONYM])


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    made = connect(tmp_path_factory.mktemp("spill"), extensions=("httpfs",))
    yield made
    made.close()


def shown(content: bytes, wanted=LOOKED_FOR, key: str | None = None):
    """(needle, representation) found, and whether all of the content was read."""
    _, record = look_into(memoryview(content), wanted, key)
    return {(needle, representation) for _, needle, representation in record.hits}, not (record.unreadable or record.unaccounted)


def found(content: bytes, wanted=LOOKED_FOR, key: str | None = None) -> set[int]:
    hits, whole = shown(content, wanted, key)
    assert whole
    return {needle for needle, _ in hits}


def places(content: bytes, wanted=LOOKED_FOR, key: str | None = None) -> set[str]:
    _, record = look_into(memoryview(content), wanted, key)
    return {place.split(" of column")[0].split(", column")[0] for place, _, _ in record.hits}


def written(table: pa.Table, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def copied(connection, query: str, path: Path, version="v1", codec="snappy", key: str | None = None) -> bytes:
    encrypted = f", encryption_config {{footer_key_value: from_base64('{key}')}}" if key else ""
    connection.execute(f"copy ({query}) to '{path}' (format parquet, parquet_version {version}, codec {codec}{encrypted})")
    return path.read_bytes()


# --- what is looked for ---

FORMS = {
    "text": (0, b"a m000077;"),
    "in the other case": (0, b"M000077"),
    "UTF-16": (0, "a m000077;".encode("utf-16-le")[:-1] + b"\0"),
    "UTF-16, greatest byte first": (0, "a m000077;".encode("utf-16-be")),
    "hexadecimal": (0, MEMBER.encode().hex().upper().encode()),
    "MD5": (0, hashlib.md5(MEMBER.encode()).hexdigest().encode()),
    "SHA-1 of it in upper case": (0, hashlib.sha1(MEMBER.upper().encode()).hexdigest().encode()),
    "SHA-256 of bytes": (0, b"x" + hashlib.sha256(MEMBER.encode()).digest() + b"x"),
    "SHA-256 in base64": (0, base64.b64encode(hashlib.sha256(MEMBER.encode()).digest())),
    "behind an escaped end of line": (0, rb'"a\nm000077"'),
    "behind an escaped blank": (0, b"q=a%20m000077"),
    "between French quotation marks": (0, "«\u00a0m000077\u00a0»".encode()),
    "an address in a URL": (1, quote("jean.dupont@exemple.fr", safe="").encode()),
    "an address in a page": (1, b"jean.dupont&#64;exemple.fr"),
    "a phone number in groups": (2, b"06 12 34 56 78"),
    "a phone number with points": (2, b"Tel.06.12.34.56.78"),
    "a phone number, international": (2, b"0033 6 12 34 56 78"),
    "a phone number as a number": (2, b'{"phone": 612345678}'),
    "a name in JSON": (3, json.dumps("José Núñez-O'Brien").encode()),
    "a name in capitals": (3, "JOSÉ NÚÑEZ-O'BRIEN".encode()),
    "a name in decomposed letters": (3, "Jose\u0301 Nu\u0301n\u0303ez-O'Brien".encode()),
    "a name in an older encoding": (3, "José Núñez-O'Brien".encode("latin-1")),
    "a name in a page": (3, html.escape("José Núñez-O'Brien").encode()),
    "a name in SQL": (3, "'José Núñez-O''Brien'".encode()),
    "a pseudonym": (4, b"x" + PSEUDONYM + b"x"),
    "a pseudonym in hexadecimal": (4, PSEUDONYM.hex().encode()),
    "a pseudonym as a UUID": (4, str(uuid.UUID(bytes=PSEUDONYM)).upper().encode()),
    "a name in a mail": (3, b"Jos=C3=A9 N=C3=BA=C3=B1ez-O'Brien"),
    "a pseudonym as DuckDB writes bytes": (4, str(duckdb.sql(f"select unhex('{PSEUDONYM.hex()}')::varchar").fetchone()[0]).encode()),
    "a pseudonym in base64": (4, base64.urlsafe_b64encode(b"ab" + PSEUDONYM)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_value_is_found_in_every_form(form):
    needle, content = FORMS[form]
    assert {hit.form.needle for hit in LOOKED_FOR.find(content)} == {needle}


@pytest.mark.parametrize("content", [
    b"m0000770", b"xm000077", b"m00007", "ém000077".encode(), "m000077é".encode(), "m0000770".encode("utf-16-le"),
    "xm000077".encode("utf-16-be"), b"m0000770".hex().encode(), b"xm000077".hex().encode(), hashlib.md5(b"m0000770").digest(),
    b"xjean.dupont@exemple.fr", b"jean.dupont@exemple.france", b"06 12 34 56 789", "José Núñez-O'Briens".encode(), PSEUDONYM[:15]])
def test_its_neighbour_is_not_found(content):
    assert LOOKED_FOR.find(content) == []


@pytest.mark.parametrize("before", ["", "a ", "ab ", "abc ", "é "])
@pytest.mark.parametrize("after", ["", ";", " b", ", cd"])
def test_base64_is_read_in_every_alignment_and_its_neighbour_is_none(before, after):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert {hit.form.needle for hit in LOOKED_FOR.find(encode(f"{before}{MEMBER}{after}".encode()))} == {0}
        for other in (NEIGHBOUR, f"x{MEMBER}", "m000078", "n000077"):
            assert LOOKED_FOR.find(encode(f"{before}{other}{after}".encode())) == []


def test_a_form_that_begins_in_one_part_and_ends_in_the_next_is_found_once():
    for at in range((1 << 20) - 40, (1 << 20) + 20):
        content = bytearray(b" " * (1 << 21))
        content[at:at + len(MEMBER)] = MEMBER.encode()
        assert [hit.start for hit in LOOKED_FOR.find(bytes(content))] == [at]


def test_needles_never_show_what_they_are():
    for value in (LOOKED_FOR, *LOOKED_FOR.find(b"m000077")):
        assert MEMBER not in repr(value) and "b'" not in repr(value)
    assert repr(LOOKED_FOR) == "Needles(5)"


def test_an_identifier_too_short_to_be_told_apart_is_refused_and_then_nothing_is_clean(tmp_path):
    (tmp_path / "file").write_bytes(b"a line\n")
    result = scan([Subjectfile(tmp_path / "file", "file")], needles([MEMBER, "m77"]))
    assert [needle for needle, _ in result.refused] == [1] and not result.clean()
    assert scan([Subjectfile(tmp_path / "file", "file")], needles([MEMBER])).clean()


def test_a_short_number_is_looked_for_as_text_and_said_not_to_be_as_a_number():
    wanted = needles(["123456", "87654321"])
    assert [needle for needle, _ in wanted.skipped] == [0]
    assert found(b"of 123456.", wanted) == {0}
    assert found(written(pa.table({"n": [87654321, 123456]})), wanted) == {1}


# --- Parquet, byte by byte ---

QUERY = """select i, 'm' || lpad((i + 1000)::varchar, 6, '0') as member, case when i % 10 = 0 then 'u' || i end as seldom, uuid() as u,
    i * 1.5::double as d, [i, i + 1] as list, {'a': 'x' || i % 7, 'b': i} as both, i % 2 = 0 as flag, i % 100 as few, i::decimal(18, 2) as price,
    i::decimal(30, 2) as great, 'text ' || i || repeat('z', i % 30) as text, encode('b' || i) as bytes, i::float as f, now() as at,
    date '2026-01-01' + (i % 5)::int as day, null as nothing, map {'k': i} as map, i::hugeint as huge from range(1000) as r(i)
    union all by name select 'm000077' as member, 33612345678 as i"""


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_every_byte_that_duckdb_writes_is_accounted_for(connection, tmp_path, version, codec, key):
    content = copied(connection, QUERY, tmp_path / "file", version, codec, key)
    record = scan_parquet(memoryview(content), LOOKED_FOR, key)
    assert (record.unreadable, record.unaccounted, record.claimed) == ([], [], len(content))
    assert {needle for _, needle, _ in record.hits} == {0, 2}


WRITERS = {
    "as it is": {}, "version 2": {"data_page_version": "2.0"}, "with indexes and checksums": {"write_page_index": True, "write_page_checksum": True},
    "without dictionaries": {"use_dictionary": False}, "small pages": {"data_page_size": 2000, "write_batch_size": 100, "data_page_version": "2.0"},
    "bytes split": {"use_dictionary": False, "use_byte_stream_split": ["d", "f", "i"]},
    "differences": {"use_dictionary": False, "column_encoding": {
        "member": "DELTA_BYTE_ARRAY", "text": "DELTA_LENGTH_BYTE_ARRAY", "i": "DELTA_BINARY_PACKED", "great": "DELTA_BYTE_ARRAY", "flag": "RLE"}},
    "filters": {"bloom_filter_options": {"member": True, "i": True, "text": {"ndv": 4000}}}, "row groups": {"row_group_size": 700},
    "old times": {"use_deprecated_int96_timestamps": True},
}


@pytest.fixture(scope="module")
def table(connection):
    return connection.execute(QUERY).to_arrow_table()


@pytest.mark.parametrize(("options", "codec"), [
    (options, codec) for options in WRITERS
    for codec in (("none", "snappy", "gzip", "zstd", "brotli", "lz4") if options in ("as it is", "version 2") else ("none", "zstd"))])
def test_every_byte_that_arrow_writes_is_accounted_for(table, options, codec):
    content = written(table, compression=codec, **WRITERS[options])
    record = scan_parquet(memoryview(content), LOOKED_FOR)
    assert (record.unreadable, record.unaccounted, record.claimed) == ([], [], len(content))
    assert {needle for _, needle, _ in record.hits} == {0, 2}


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "zstd", "lz4"])
def test_every_byte_that_polars_writes_is_accounted_for(table, codec):
    out = io.BytesIO()
    pl.from_arrow(table.drop_columns(["map"])).write_parquet(out, compression=codec, data_page_size=5000)
    record = scan_parquet(memoryview(out.getvalue()), LOOKED_FOR)
    assert (record.unreadable, record.unaccounted, record.claimed) == ([], [], len(out.getvalue()))
    assert {needle for _, needle, _ in record.hits} == {0, 2}


def test_a_text_is_told_from_the_length_of_the_next_one():
    """The next text's length is an ASCII letter or digit: 48 bytes are '0', 97 are 'a'."""
    for size in (48, 57, 65, 95, 97, 122):
        wanted = pa.table({"t": [MEMBER, "-" * size]})
        other = pa.table({"t": [NEIGHBOUR, "-" * size]})
        for options in ({"use_dictionary": False}, {"use_dictionary": True}):
            assert found(written(wanted, compression="none", write_statistics=False, **options)) == {0}
            assert found(written(other, compression="none", write_statistics=False, **options)) == set()


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
def test_texts_that_stand_side_by_side_are_not_read_as_one(encoding):
    options = {"use_dictionary": False, "column_encoding": {"t": encoding}, "write_statistics": False}
    assert found(written(pa.table({"t": ["m00", "0077", "x", "m000077", "m0000779"]}), **options)) == {0}
    assert found(written(pa.table({"t": ["m00", "0077", "xm0000", "77"]}), **options)) == set()
    assert found(written(pa.table({"t": ["am000077", "m000077b"]}), **options)) == set()
    assert found(written(pa.table({"t": ["", "m00007", "m000077", ""]}), **options)) == {0}


@pytest.mark.parametrize(("kind", "value", "other"), [
    (pa.int64(), 33612345678, 336123456780), (pa.int32(), 612345678, 612345679), (pa.uint32(), 612345678, 612345679),
    (pa.uint64(), 33612345678, 33612345679), (pa.float64(), 33612345678.0, 33612345679.0), (pa.decimal128(18, 2), 612345678, 612345679),
    (pa.decimal128(38, 4), 612345678, 612345679), (pa.string(), "612345678", "6123456789")], ids=str)
@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"use_dictionary": False, "store_decimal_as_integer": True}], ids=str)
def test_a_number_is_found_in_every_type_it_may_have(kind, value, other, options):
    make = str if kind == pa.string() else float if kind == pa.float64() else Decimal if pa.types.is_decimal(kind) else int
    for cell, expected in ((value, {2}), (other, set())):
        column = pa.array([make(1), None, make(cell), make(2)], kind)
        assert found(written(pa.table({"n": column}), write_statistics=False, **options)) == expected


@pytest.mark.parametrize("encoding", ["DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT", "PLAIN"])
def test_a_number_is_found_in_every_encoding(encoding):
    options = {"use_dictionary": False, "column_encoding": {"n": encoding}, "write_statistics": False}
    values = [*range(-500, 500), -(2**63), 2**63 - 1, 0, *range(0, 10**12, 10**9)]
    assert found(written(pa.table({"n": [*values, 33612345678, 7]}), **options)) == {2}
    assert found(written(pa.table({"n": [*values, 33612345679, 7]}), **options)) == set()


def test_numbers_of_differences_are_what_was_written():
    for values in ([], [5], [2**31 - 1, -(2**31), 0], list(range(1000)), [2**63 - 1, -(2**63), 1, 2**63 - 1], [7] * 300):
        table = pa.table({"n": pa.array(values, pa.int64())})
        content = written(table, use_dictionary=False, compression="none", column_encoding={"n": "DELTA_BINARY_PACKED"}, write_statistics=False)
        header, at = thrift.structure(content, 4) if values else ({2: 0}, 0)
        if values:
            body = content[at:at + header[2]]
            levels = 4 + int.from_bytes(body[:4], "little")
            assert encodings.delta_numbers(body[levels:])[0].tolist() == values


def test_what_a_run_is_filled_up_with_is_looked_at():
    """Seven numbers of 32 bits fill a run up: room for a name."""
    packed = bytes([32, 3]) + struct.pack("<I", 0)
    column = Column("t", BYTE_ARRAY, 0, 0, 0)
    for hidden in (b"-m000077----" + bytes(16), b"-m0000770---" + bytes(16)):
        assert page_values(column, 8, packed + hidden, 1).data == hidden
    with pytest.raises(thrift.Unreadable):
        page_values(column, 8, packed + bytes(28) + b"m000077", 1)
    with pytest.raises(thrift.Unreadable):
        page_values(column, 8, bytes([1, 0x81, 0x08]) + bytes(128), 1)  # a run of 1,024 for one value
    with pytest.raises(thrift.Unreadable):
        encodings.delta_numbers(bytes([128, 1, 4, 2, 0, 0, 8, 0, 0, 0]) + bytes(20) + b"m000077" + bytes(5))


def test_a_pseudonym_is_found_in_bytes_of_one_length_and_of_any():
    for kind in (pa.binary(16), pa.binary()):
        for value, expected in ((PSEUDONYM, {4}), (PSEUDONYM[::-1], set())):
            for options in ({}, {"use_dictionary": False}):
                assert found(written(pa.table({"p": pa.array([b"\0" * 16, value], kind)}), **options)) == expected
    half = pa.array([b"\0" * 8 + PSEUDONYM[:8], PSEUDONYM[8:] + b"\0" * 8], pa.binary(16))
    assert found(written(pa.table({"p": half}), use_dictionary=False)) == set()


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_a_value_that_no_row_uses_any_more_is_found_in_its_dictionary(codec):
    for value, expected in ((MEMBER, {"dictionary page"}), (NEIGHBOUR, set())):
        column = pa.DictionaryArray.from_arrays(pa.array([0, 0, 2], pa.int32()), pa.array(["kept", value, "also"]))
        content = written(pa.table({"v": column}), write_statistics=False, compression=codec)
        assert pq.read_table(io.BytesIO(content))["v"].to_pylist() == ["kept", "kept", "also"]
        assert places(content) == expected


def only_in_statistics(value: str, **options) -> bytes:
    """The value was the greatest of its column; the pages know no more of it."""
    content = written(pa.table({"v": ["a", "b", value]}), use_dictionary=False, compression="none", store_schema=False, **options)
    stored = len(value).to_bytes(4, "little") + value.encode()
    cut = content.replace(stored, stored[:4] + b"c" * len(value), 1)
    assert pq.read_table(io.BytesIO(cut))["v"].to_pylist() == ["a", "b", "c" * len(value)]
    return cut


def test_a_value_is_found_in_minima_and_maxima_of_footer_page_header_and_index():
    assert places(only_in_statistics(MEMBER)) == {"footer", "header of a page"}
    assert places(only_in_statistics(MEMBER, write_page_index=True)) == {"footer", "column index"}
    assert places(only_in_statistics(NEIGHBOUR)) == places(only_in_statistics(NEIGHBOUR, write_page_index=True)) == set()


def test_a_number_is_found_in_minima_and_maxima():
    for value, expected in ((33612345678, {"footer", "header of a page"}), (33612345679, set())):
        content = written(pa.table({"n": [1, value]}), use_dictionary=False, compression="none", store_schema=False)
        assert places(content.replace(struct.pack("<qq", 1, value), struct.pack("<qq", 1, 5), 1)) == expected
        column = pa.array([Decimal(1), Decimal(value)], pa.decimal128(30, 2))
        content = written(pa.table({"n": column}), use_dictionary=False, compression="none", store_schema=False)
        stored = [(number * 100).to_bytes(13, "big") for number in (1, value, 5)]
        assert places(content.replace(stored[0] + stored[1], stored[0] + stored[2], 1)) == expected


def test_a_value_is_found_in_metadata_and_in_the_name_of_a_column_which_is_not_shown():
    for value, expected in ((MEMBER, {0}), (NEIGHBOUR, set())):
        assert found(written(pa.table({"v": [1]}).replace_schema_metadata({"for": value}))) == expected
        assert found(written(pa.table({value: [1]}), store_schema=False)) == expected
    _, record = look_into(memoryview(written(pa.table({MEMBER: [MEMBER]}))), LOOKED_FOR)
    assert record.hits and all(MEMBER not in place for place, _, _ in record.hits)


def only_in_filter(value: object, kind: pa.DataType, stored: bytes) -> bytes:
    values = pa.array([value], kind)
    content = written(pa.table({"v": values}), use_dictionary=False, compression="none", write_statistics=False, store_schema=False,
                      bloom_filter_options={"v": True})
    return content.replace(stored, b"\x01" * len(stored))


def test_a_value_that_is_nowhere_any_more_is_found_in_the_filter_that_still_knows_it():
    assert places(only_in_filter(MEMBER, pa.string(), MEMBER.encode())) == {"bloom filter"}
    assert places(only_in_filter(NEIGHBOUR, pa.string(), NEIGHBOUR.encode())) == set()
    assert places(only_in_filter(33612345678, pa.int64(), struct.pack("<q", 33612345678))) == {"bloom filter"}
    assert places(only_in_filter(PSEUDONYM, pa.binary(16), PSEUDONYM)) == {"bloom filter"}
    assert places(only_in_filter("M000077", pa.string(), b"M000077")) == {"bloom filter"}


def test_a_filter_that_answers_maybe_by_chance_alone_is_no_finding(connection, tmp_path):
    """A filter so full that it says maybe to half of all: what is alive explains every bit of it."""
    wanted = needles([f"z{n:06d}" for n in range(400)])
    content = copied(connection, "select 'm' || lpad((i % 3000)::varchar, 6, '0') as m from range(30000) as r(i)", tmp_path / "file")
    where = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0).column(0)
    offset = where.to_dict().get("bloom_filter_offset") or connection.execute(
        f"select bloom_filter_offset from parquet_metadata('{tmp_path / 'file'}')").fetchone()[0]
    header, at = thrift.structure(content, offset)
    bits = bloom.words(content[at:at + header[1]])
    asked = np.array([value for _, _, value in wanted.hashes(None)], np.uint64)
    assert bloom.maybe(bits, asked).any()
    assert shown(content, wanted) == (set(), True)


def test_a_filter_of_duckdb_is_read_as_duckdb_reads_it(connection, tmp_path):
    for key in (None, KEY):
        content = copied(connection, "select 'm' || lpad((i % 100)::varchar, 6, '0') as m from range(3000) as r(i)", tmp_path / "file", key=key)
        _, record = look_into(memoryview(content), needles([MEMBER]), key)
        assert not record.unreadable and {place.split(" of ")[0] for place, _, _ in record.hits} == {"dictionary page"}
    live = np.frombuffer(b"".join(f"m{n:06d}".encode() for n in range(100)), np.uint8).reshape(-1, 7)
    offset = connection.execute(f"select bloom_filter_offset from parquet_metadata('{tmp_path / 'file2'}')").fetchone()[0] if copied(
        connection, "select 'm' || lpad((i % 100)::varchar, 6, '0') as m from range(3000) as r(i)", tmp_path / "file2") else 0
    content = (tmp_path / "file2").read_bytes()
    header, at = thrift.structure(content, offset)
    assert bloom.maybe(bloom.words(content[at:at + header[1]]), bloom.hashes(live)).all()


@pytest.mark.parametrize(("text", "value"), [(b"", 0xEF46DB3751D8E999), (b"a", 0xD24EC4F1A98C6E5B), (b"abc", 0x44BC2CF5AD770999),
                                             (b"Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1)])
def test_xxh64_is_what_its_authors_say(text, value):
    assert int(bloom.hashes(np.frombuffer(text, np.uint8).reshape(1, -1) if text else np.empty((1, 0), np.uint8))[0]) == value


def test_bytes_that_belong_to_no_part_are_looked_at_and_make_the_file_unaccounted_for():
    plain = written(pa.table({"v": [1]}))
    footer = len(plain) - 8 - int.from_bytes(plain[-8:-4], "little")
    for content, hits in ((b"; m000077 ", {(0, "text")}), (b"; m0000770 ", set())):
        assert shown(plain[:footer] + content + plain[footer:]) == (hits, False)
    assert shown(plain[:footer] + bytes(64) + plain[footer:]) == (set(), True)  # padding: zeros hold nothing
    assert not shown(plain[:4] + b"m000077" + plain[4:])[1]
    assert not shown(plain + b"m000077")[1]


def test_bytes_behind_the_end_of_a_compressed_page_are_not_passed_over():
    for name, number in (("snappy", 1), ("brotli", 4), ("zstd", 6), ("lz4_raw", 7), ("gzip", 2)):
        packed = gzip.compress(b"a value" * 50) if name == "gzip" else pa.Codec(name).compress(b"a value" * 50).to_pybytes()
        assert bytes(codecs.decompressed(number, packed, 350)) == b"a value" * 50
        for hidden in (b"m000077", b"\x50\x2a\x4d\x18\x07\0\0\0m000077"):  # as it is, and as a frame that Zstandard passes over
            with pytest.raises(thrift.Unreadable):
                codecs.decompressed(number, packed + hidden, 350)


def test_bytes_behind_the_values_of_a_page_are_not_passed_over():
    """A page's header says how many values it has, and its footer too; one of them is changed."""
    content = written(pa.table({"v": pa.array([1, 2, 3], pa.int64())}), use_dictionary=False, compression="none", write_statistics=False,
                      store_schema=False)
    fewer = content.replace(b"\x15\x06", b"\x15\x04")
    assert fewer != content and not shown(fewer)[1]


# --- unknown is not clean ---


@pytest.fixture(scope="module")
def sealed(connection, tmp_path_factory):
    return copied(connection, "select 'row ' || i % 5 as v, i as n from range(300) as r(i)", tmp_path_factory.mktemp("sealed") / "file", key=KEY)


def test_without_its_key_or_with_another_a_file_is_unreadable(sealed):
    assert shown(sealed, key=KEY) == (set(), True)
    for key in (None, base64.b64encode(bytes(16)).decode(), "no key", base64.b64encode(bytes(5)).decode()):
        assert not shown(sealed, key=key)[1]


def test_no_byte_of_an_encrypted_file_can_be_changed_unseen(sealed):
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 0x41
        assert not shown(bytes(changed), key=KEY)[1], at


@pytest.mark.parametrize("options", [{"use_dictionary": False, "compression": "none"}, {"compression": "zstd", "data_page_version": "2.0"}], ids=str)
def test_no_byte_of_a_plain_file_but_the_value_itself_can_be_changed_so_that_it_is_hidden(options):
    content = written(pa.table({"t": ["abc", MEMBER, None, "x", NEIGHBOUR], "n": range(5)}), store_schema=False, write_statistics=False, **options)
    value = content.index(MEMBER.encode())
    for at in [at for at in range(len(content)) if not value <= at < value + len(MEMBER)]:
        changed = bytearray(content)
        changed[at] ^= 1 << at % 8
        hits, whole = shown(bytes(changed))
        assert hits or not whole, at


def test_a_file_that_is_cut_off_anywhere_is_unreadable(sealed):
    plain = written(pa.table({"v": ["row"] * 20}))
    for content, key in ((sealed, KEY), (plain, None)):
        for size in range(4, len(content), 7):
            assert not shown(content[:size], key=key)[1]
            assert not shown(content[:4] + content[4 + size:], key=key)[1]


def test_a_page_whose_checksum_is_another_is_unreadable():
    content = written(pa.table({"v": ["row one", "row two"]}), use_dictionary=False, compression="none", write_page_checksum=True,
                      write_statistics=False)
    assert shown(content)[1] and not shown(content.replace(b"row two", b"row 2wo", 1))[1]


@pytest.mark.parametrize("codec", [3, 5, 9], ids=["LZO", "Hadoop's LZ4", "unknown"])
def test_a_codec_that_is_not_read_is_unreadable(codec):
    content = written(pa.table({"value": ["a"]}), compression="snappy", store_schema=False)
    changed = content.replace(b"value\x15\x02", b"value\x15" + bytes([2 * codec]))
    assert changed != content and not shown(changed)[1]


def test_an_encoding_that_is_not_read_is_unreadable():
    content = written(pa.table({"value": ["a", "b"]}), use_dictionary=False, compression="none", store_schema=False, write_statistics=False)
    header, at = thrift.structure(content, 4)
    assert header[5][2] == 0
    changed = content[:4] + content[4:at].replace(b"\x15\x04\x15\x00", b"\x15\x04\x15\x08") + content[at:]
    assert changed != content and not shown(changed)[1]


def test_a_file_encrypted_in_another_way_is_unreadable(tmp_path):
    content = written(pa.table({"v": ["a"]}))
    assert not shown(b"PARE" + content[4:-4] + b"PARE", key=KEY)[1]


@given(content=st.binary(min_size=0, max_size=300))
@settings(max_examples=100, deadline=None)
def test_whatever_a_file_holds_it_is_read_or_said_to_be_unreadable(content):
    for data in (content, b"PAR1" + content + b"PAR1", b"PARE" + content + b"PARE", b"PK\x03\x04" + content, b"\x1f\x8b" + content,
                 b"SQLite format 3\0" + content):
        kind, record = look_into(memoryview(data), LOOKED_FOR, KEY)
        assert record.unreadable or kind in ("text", "utf-16", "empty", "sqlite-log", "sealed"), "or it is the caller's to prove"


# --- the two ways to the same answer ---

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
PLANTED = st.sampled_from(["m000077", "a m000077.", "jean.dupont@exemple.fr", "x;M000077;y", "06 12 34 56 78"])
OTHERS = st.sampled_from(["m0000770", "xm000077", "m000078", "ajean.dupont@exemple.fr", "06 12 34 56 7", "m00", "0077"])


def expected_of(text: str | None) -> set[int]:
    return {"m000077": {0}, "a m000077.": {0}, "jean.dupont@exemple.fr": {1}, "x;M000077;y": {0}, "06 12 34 56 78": {2}}.get(text or "", set())


@given(data=st.data(), texts=st.lists(st.one_of(st.none(), TEXTS, PLANTED, OTHERS), min_size=1, max_size=60),
       codec=st.sampled_from(["none", "snappy", "zstd", "gzip", "lz4", "brotli"]), version=st.sampled_from(["1.0", "2.0"]),
       how=st.sampled_from(["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY", None]), page=st.sampled_from([1, 40, 1 << 20]),
       groups=st.integers(1, 60), nested=st.booleans(), filters=st.booleans())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_found_in_any_table_is_what_was_planted(data, texts, codec, version, how, page, groups, nested, filters):
    if any(text and expected_of(text) == set() and LOOKED_FOR.find(text.encode()) for text in texts):
        return  # a text of chance that is one of the values
    column = pa.array([[text, "-"] if text is not None else None for text in texts]) if nested else pa.array(texts, pa.string())
    name = "t.list.element" if nested else "t"
    options = {"use_dictionary": False, "column_encoding": {name: how}} if how else {"use_dictionary": True}
    if filters and not nested:
        options["bloom_filter_options"] = {"t": True}
    content = written(pa.table({"t": column, "n": list(range(len(texts)))}), compression=codec, data_page_version=version, data_page_size=page,
                      row_group_size=groups, write_page_index=data.draw(st.booleans()), write_batch_size=data.draw(st.sampled_from([1, 7, 1024])),
                      **options)
    record = scan_parquet(memoryview(content), LOOKED_FOR)
    assert (record.unreadable, record.unaccounted, record.claimed) == ([], [], len(content))
    assert {needle for _, needle, _ in record.hits} == {needle for text in texts for needle in expected_of(text)}
    pages = sum(count for (place, _, _), count in record.hits.items() if "page of" in place and not place.startswith("header"))
    if how:
        assert pages == sum(len(expected_of(text)) for text in texts)


# --- other formats ---


def zipped(content: bytes, method=zipfile.ZIP_DEFLATED, name="member", comment=b"") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, content)
        archive.comment = comment
    return out.getvalue()


def tarred(content: bytes, name="member") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


SHAPES = {
    "NDJSON": lambda text: json.dumps({"id": text}).encode() + b"\n{}\n",
    "JSON within JSON, escaped": lambda text: json.dumps(json.dumps({"a": f"é\n{text}"})).encode(),
    "JSON with every letter escaped": lambda text: b'"' + "".join(f"\\u{ord(c):04x}" for c in text).encode() + b'"',
    "CSV": lambda text: f"a;{text};b\n".encode(), "SQL": lambda text: f"insert into t values ('{text}');".encode(),
    "log": lambda text: f'1.2.3.4 - {text} [12/Feb/2026] "GET /?m={text} HTTP/1.1"\n'.encode(), "YAML": lambda text: f"id: {text}\n".encode(),
    "HTML": lambda text: f"<p>{text}</p>".encode(), "percent-encoded": lambda text: "".join(f"%{ord(c):02x}" for c in f" {text} ").encode(),
    "UTF-16": lambda text: f"a {text}\n".encode("utf-16"),
    "UTF-16, greatest byte first": lambda text: b"\xfe\xff" + f"a {text}\n".encode("utf-16-be"),
    "an older encoding": lambda text: "élève à côté: ".encode("latin-1") + text.encode() + b" and so on, mostly in plain letters\n",
    "ZIP": lambda text: zipped(f"a {text}".encode()), "ZIP, stored": lambda text: zipped(f"a {text}".encode(), zipfile.ZIP_STORED),
    "ZIP, name of a member": lambda text: zipped(b"", name=f"{text}.txt"), "ZIP, comment": lambda text: zipped(b"", comment=text.encode()),
    "gzip": lambda text: gzip.compress(f"a {text}".encode()), "tar": lambda text: tarred(f"a {text}".encode()),
    "tar, name of a member": lambda text: tarred(b"", name=text), "tar of ZIP of gzip": lambda text: tarred(zipped(gzip.compress(text.encode()))),
    "ZIP of Parquet": lambda text: zipped(written(pa.table({"v": [text]}), compression="zstd")),
    "gzip, name of its content": lambda text: b"\x1f\x8b\x08\x08\0\0\0\0\0\0" + text.encode() + b"\0" + gzip.compress(b"a line")[10:],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_value_is_found_in_every_format_and_its_neighbour_is_not(shape):
    assert found(SHAPES[shape](MEMBER)) == {0}
    assert found(SHAPES[shape](NEIGHBOUR)) == set()


def database(path: Path, values: list[str], deleted: list[str], before: str = "a", **pragmas: object) -> bytes:
    connection = sqlite3.connect(path)
    for name, value in {"secure_delete": "off", **pragmas}.items():
        connection.execute(f"pragma {name} = {value}")
    connection.execute("create table t (before text, v, after text)")
    connection.executemany("insert into t values (?, ?, 'z')", [(before, value) for value in values + deleted])
    connection.commit()
    connection.executemany("delete from t where v = ?", [[value] for value in deleted])
    connection.commit()
    connection.close()
    return path.read_bytes()


@pytest.mark.parametrize("encoding", ["'UTF-8'", "'UTF-16le'", "'UTF-16be'"])
def test_sqlite_is_read_as_rows_and_as_bytes_that_no_row_has(tmp_path, encoding):
    def made(name: str, values: list[object], deleted: list[object]) -> bytes:
        return database(tmp_path / name, values, deleted, encoding=encoding)

    assert found(made("live", ["x", MEMBER], [])) == {0}
    assert found(made("neighbour", ["x", NEIGHBOUR], ["other"])) == set()
    assert found(made("deleted", ["x"], [MEMBER])) == {0}  # between 'a' and 'z', without a gap
    assert found(made("both", ["x", NEIGHBOUR], [MEMBER])) == {0}
    assert found(made("number", ["x", 612345678], [])) == found(made("freed", ["x"], [612345678])) == {2}
    assert found(made("other", ["x", 612345679], [])) == set()


def test_sqlite_is_read_where_a_value_is_split_over_pages_or_stands_on_a_free_page(tmp_path):
    for at in range(0, 40, 3):
        long = "-" * (5000 + at) + MEMBER + "-" * 6000
        (tmp_path / "split").unlink(missing_ok=True)
        assert found(database(tmp_path / "split", [long], [])) == {0}
    assert found(database(tmp_path / "free", ["x"], [f"{n}" * 3000 + f" {MEMBER} " for n in range(9)])) == {0}
    assert found(database(tmp_path / "clean", ["x"], [f"{n}" * 3000 + f" {MEMBER} " for n in range(9)], secure_delete="on")) == set()


def test_a_log_beside_a_sqlite_database_is_read(tmp_path):
    connection = sqlite3.connect(tmp_path / "db")
    connection.execute("pragma journal_mode = wal")
    connection.execute("create table t (v text)")
    connection.execute("insert into t values (?)", [MEMBER])
    connection.commit()
    assert found((tmp_path / "db-wal").read_bytes()) == {0}
    connection.execute("pragma wal_checkpoint(truncate)")
    assert found((tmp_path / "db").read_bytes()) == {0}  # a database with a log opens from memory too
    connection.close()


@pytest.mark.parametrize("content", [
    pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(range(64)), id="picture"), pytest.param(os.urandom(400), id="noise"),
    pytest.param(b"a line\n" * 20000 + b"\0\1", id="text that goes on as something else"),
    pytest.param(b"SQLite format 3\0" + bytes(600), id="no database"),
    pytest.param(zipped(b"a line" * 50)[:-30], id="ZIP cut off"), pytest.param(gzip.compress(b"a line" * 50)[:-9], id="gzip cut off"),
    pytest.param(tarred(b"a line" * 200)[:700], id="tar cut off"), pytest.param(zipped(os.urandom(99)), id="ZIP of noise"),
    pytest.param(zipped(b"a", zipfile.ZIP_BZIP2), id="ZIP in another way"), pytest.param(b"hidden" + zipped(b"a"), id="before a ZIP"),
    pytest.param(gzip.compress(b"a") + b"hidden", id="behind a gzip"), pytest.param(tarred(b"a") + b"hidden", id="behind a tar"),
    pytest.param(zipped(zipped(zipped(zipped(zipped(zipped(zipped(zipped(b"a")))))))), id="deeper than is read"),
    pytest.param(zipped(b"age-encryption.org/v1\n"), id="sealed within an archive"), pytest.param(b"\xff\xfe\0\0a\0\0\0", id="four bytes a letter"),
    pytest.param(b"\xff\xfe" + os.urandom(200), id="noise that begins as UTF-16"), pytest.param(b"\xfa\xfb\xfc", id="three bytes"),
    pytest.param(b"\xff\xfea\0b", id="half a letter")])
def test_what_cannot_be_read_whole_is_not_clean(tmp_path, content):
    (tmp_path / "file").write_bytes(content)
    result = scan([Subjectfile(tmp_path / "file", "file")], LOOKED_FOR)
    assert (result.unreadable or result.unaccounted) and not result.clean()


def test_a_damaged_or_encrypted_member_is_not_clean():
    content = bytearray(zipped(b"a line" * 50))
    content[45] ^= 0x55
    assert not shown(bytes(content))[1]
    locked = zipped(b"a line").replace(b"PK\x03\x04\x14\0\0\0", b"PK\x03\x04\x14\0\x01\0")
    locked = locked.replace(b"PK\x01\x02\x14\x03\x14\0\0\0", b"PK\x01\x02\x14\x03\x14\0\x01\0")
    assert not shown(locked)[1]


def test_bytes_behind_the_end_of_a_compressed_member_are_not_passed_over():
    plain = zipped(b"a line" * 50)
    size = int.from_bytes(plain[18:22], "little")
    stop = 30 + len("member") + size
    longer = plain[:18] + struct.pack("<I", size + 9) + plain[22:stop] + b" m000077 " + plain[stop:]
    directory = longer.rfind(b"PK\x01\x02")
    longer = longer[:directory + 20] + struct.pack("<I", size + 9) + longer[directory + 24:-6] + struct.pack("<I", directory) + longer[-2:]
    assert zipfile.ZipFile(io.BytesIO(longer)).read("member") == b"a line" * 50  # whoever unpacks it sees nothing of it
    assert not shown(longer)[1]


def test_the_format_is_told_by_the_content_not_by_the_name(tmp_path):
    for name, content, kind in (("a.txt", written(pa.table({"v": [1]})), "parquet"), ("b.parquet", b"a line\n", "text"), ("c.zip", b"", "empty"),
                                ("d", b"age-encryption.org/v1\n-> X", "sealed"), ("e.csv", zipped(b"a"), "zip")):
        (tmp_path / name).write_bytes(content)
        assert format_of(memoryview(content)) == kind
    duckdb.connect(str(tmp_path / "f")).close()
    assert format_of(memoryview((tmp_path / "f").read_bytes())) == "duckdb"


# --- files, and what is said of them ---


def test_a_result_names_the_place_and_never_the_value(tmp_path):
    column = pa.array([MEMBER, *["other"] * 20])
    (tmp_path / "t.parquet").write_bytes(written(pa.table({"member_id": column}), row_group_size=7))
    (tmp_path / f"export_{MEMBER}.csv").write_bytes(b"a;b\n")
    result = scan([Subjectfile(path, f"zones/{path.name}") for path in sorted(tmp_path.iterdir())], LOOKED_FOR)
    assert {(f.file, f.place) for f in result.findings} == {
        ("zones/export_*******.csv", "name of the file"), ("zones/t.parquet", "dictionary page of column member_id, row group 0"),
        ("zones/t.parquet", "footer, column member_id, row group 0"), ("zones/t.parquet", "header of a page, column member_id, row group 0")}
    assert MEMBER not in repr(result)
    assert (result.files, result.formats, result.read) == (2, {"text": 1, "parquet": 1}, sum(p.stat().st_size for p in tmp_path.iterdir()))


def test_one_worker_finds_what_two_find(tmp_path):
    for n in range(4):
        (tmp_path / str(n)).write_bytes(written(pa.table({"v": [MEMBER if n % 2 else NEIGHBOUR, "x"], "w": [PSEUDONYM, None]})))
    files = [Subjectfile(path, path.name) for path in sorted(tmp_path.iterdir())]
    assert scan(files, LOOKED_FOR, workers=1) == scan(files, LOOKED_FOR, workers=2)


def test_a_file_that_is_not_there_or_is_a_link_is_not_clean(tmp_path):
    (tmp_path / "there").write_bytes(b"a line\n")
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for path, clean in ((tmp_path / "there", True), (tmp_path / "link", False), (tmp_path / "gone", False), (tmp_path, False)):
        assert scan([Subjectfile(path, path.name)], LOOKED_FOR).clean() == clean


def test_what_the_caller_proves_is_clean_only_when_it_is_proved(tmp_path):
    duckdb.connect(str(tmp_path / "mart")).close()
    (tmp_path / "box").write_bytes(b"age-encryption.org/v1\n-> X25519 abc\n")
    result = scan([Subjectfile(tmp_path / name, name) for name in ("mart", "box")], LOOKED_FOR)
    assert set(result.elsewhere) == {("mart", "duckdb"), ("box", "sealed")} and not result.findings and not result.unreadable
    assert not result.clean() and not result.clean({"mart"}) and result.clean({"mart", "box"})


@pytest.mark.parametrize("statement", [
    "create table t as select 1 as n, '{}' as v", "create table t as select ['{}'] as v", "create table t as select {{'a': {{'b': '{}'}}}} as v",
    "create table t as select encode(' {} ') as v", "create table t as select map {{'k': '{}'}} as v", "create view v as select '{}' as v",
    "create table t (n int default length('{}'))", "create table t (n int); comment on column t.n is 'for {}'", "create type mood as enum ('{}')",
    "create schema s; create table s.t as select '{}' as v", "create table t as select 1 as \"{}\"", "create table t as select '{}'::enum('{}') as v",
    "create macro m() as '{}'", "create table t as select json_object('k', '{}') as v"])
def test_what_is_alive_in_duckdb_is_found_whatever_its_type(connection, statement):
    for value, expected in ((MEMBER, {0}), (NEIGHBOUR, set())):
        connection.execute("attach ':memory:' as alive; use alive")
        try:
            connection.execute(statement.format(*[value] * 2))
            connection.execute("use memory")
            result = scan_duckdb(connection, "alive", LOOKED_FOR)
            assert {finding.needle for finding in result.findings} == expected and not result.unreadable
        finally:
            connection.execute("use memory; detach alive")


def test_numbers_uuids_and_bytes_that_are_alive_in_duckdb_are_found(connection):
    connection.execute("attach ':memory:' as alive")
    try:
        for n, value in enumerate(("612345678::int", "612345678::hugeint", "33612345678::decimal(18, 2)", "612345678::double", "[33612345678]")):
            connection.execute(f"create or replace table alive.t as select {value} as v")
            assert {f.needle for f in scan_duckdb(connection, "alive", LOOKED_FOR).findings} == {2}, n
        for value in (f"'{uuid.UUID(bytes=PSEUDONYM)}'::uuid", f"unhex('{PSEUDONYM.hex()}')"):
            connection.execute(f"create or replace table alive.t as select {value} as v")
            assert {f.needle for f in scan_duckdb(connection, "alive", LOOKED_FOR).findings} == {4}
        connection.execute("create or replace table alive.t as select ['a'::blob] as v")
        assert not scan_duckdb(connection, "alive", LOOKED_FOR).clean()  # bytes within a list are not read
    finally:
        connection.execute("detach alive")


def test_the_files_of_a_lake_are_read_with_the_keys_of_its_catalog_and_a_purge_cleans_them(tmp_path):
    home = new_home(tmp_path / "home")
    lake = raw_lake(home)
    with opened(lake, "test", write=True) as connection:
        connection.execute("create table lake.t as select 'm' || lpad(i::varchar, 6, '0') as m, i from range(2000) as r(i)")
        connection.execute(f"delete from lake.t where m = '{MEMBER}'")
        assert {file.path for file in lake_files(connection, "lake", lake.data)} == set(lake.data.rglob("*.parquet"))
        before = scan(subject_files(connection, "lake", lake.data, home.root), LOOKED_FOR)
        assert {f.needle for f in before.findings} == {0} and not before.unreadable and before.files == 2
        assert all(f.file.startswith("zones/raw/data/main/t/") for f in before.findings)
        assert not scan_duckdb(connection, "__ducklake_metadata_lake", LOOKED_FOR).clean()  # hidden, so that nothing would be looked at
    connection = connect(home.tmp)
    connection.execute(f"attach '{lake.catalog}' as catalog (encryption_key '{lake.key()}', read_only)")
    first = scan_duckdb(connection, "catalog", needles(["m000000"]), "zones/raw/catalog.duckdb")
    assert {finding.file for finding in first.findings} == {"zones/raw/catalog.duckdb"}  # a minimum, in the catalog's own tables
    assert scan_duckdb(connection, "catalog", needles(["m0000001"])).clean()
    connection.close()
    purge(lake, "test")
    with opened(lake, "test", write=True) as connection:
        after = scan(subject_files(connection, "lake", lake.data, home.root), LOOKED_FOR)
        assert after.clean() and after.formats == {"parquet": 1}
        other = lake.data / "main" / "t" / "left.parquet"
        other.write_bytes(next(lake.data.rglob("*.parquet")).read_bytes())
        left = scan(subject_files(connection, "lake", lake.data, home.root), LOOKED_FOR)
        assert [one.file for one in left.unreadable] == ["zones/raw/data/main/t/left.parquet"] and not left.clean()
        other.unlink()
        other.symlink_to(tmp_path / "elsewhere")
        assert not scan(subject_files(connection, "lake", lake.data, home.root), LOOKED_FOR).clean()
        other.unlink()
        next(lake.data.rglob("*.parquet")).unlink()
        assert not scan(subject_files(connection, "lake", lake.data, home.root), LOOKED_FOR).clean()  # the catalog names one that is gone


# --- it can see ---


def test_the_controls_are_all_seen_and_nothing_of_them_is_left(tmp_path):
    result = controls.controls(tmp_path)
    assert len(result) == len(controls.PLACES) + 1 and [control.place for control in result if not control.seen] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("module", "name", "blind"), [
    ("parquet_file._Chunk", "_statistics", "Parquet: minimum or maximum only"), ("parquet_file._Chunk", "_filter", "Parquet: bloom filter"),
    ("parquet_file", "_look_at", "Parquet: key-value metadata"), ("sqlite_file", "_look_at_the_rest", "SQLite: deleted row"),
    ("record.Record", "look_at_numbers", "Parquet: typed number"), ("parquet_file", "_account", "Parquet: bytes between its parts"),
    ("record.Record", "look_among", "Parquet encrypted, version 2: live value"), ("text_file", "_resolved", "text: JSON escapes")])
def test_a_reader_that_is_blind_in_one_place_says_so(tmp_path, monkeypatch, module, name, blind):
    monkeypatch.setattr(f"pipelines.assurance.residue.{module}.{name}", lambda *_, **__: None)
    assert blind in {control.place for control in controls.controls(tmp_path) if not control.seen}


def test_a_reader_that_calls_anything_found_is_as_blind(tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.assurance.residue.needles.stands_alone", lambda *_: True)
    assert "text" in {control.place for control in controls.controls(tmp_path) if not control.seen}


def test_a_scan_changes_no_file(tmp_path):
    database(tmp_path / "db", ["x"], [MEMBER])
    before = sha256_of(tmp_path / "db")
    scan([Subjectfile(tmp_path / "db", "db")], LOOKED_FOR)
    assert sha256_of(tmp_path / "db") == before and [path.name for path in tmp_path.iterdir()] == ["db"]
