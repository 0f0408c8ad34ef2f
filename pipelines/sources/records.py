"""Records in NDJSON, a JSON array, CSV or Parquet → columns of text, and the names of the fields that the file has.

Which fields may be there is the contract's to say: a field that no contract names stops the file before anything is
written (C-10.0: what has no rule is not collected). Types are checked later, from the text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.errors import KampekyError
from pipelines.sources.encodings import as_utf8
from pipelines.sources.files import compression_of, first_line, first_lines, is_parquet
from pipelines.sources.lines import LOST, read_lines

ROW = "file_row_number"
ENDS = "chr(13) || chr(10)"
NAMED = {".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson", ".csv": "csv", ".tsv": "csv"}
DELIMITERS = (",", ";", "\t", "|")


QUOTES = ('"', "'")
TOLD = {"array": "a JSON array of records", "ndjson": "ndjson", "csv": "csv", "parquet": "parquet"}
# Parquet types with one value in them, which a text can say; of DuckDB's names, the part before any bracket
SCALARS = ("VARCHAR", "JSON", "ENUM", "UUID", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER",
           "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS",
           "TIMESTAMP WITH TIME ZONE")


def form_of(path: Path, columns: Sequence[str]) -> str:
    """'parquet', 'ndjson', 'array' or 'csv', by content. Where the first line is neither a record nor a header that names a column (it
    may be damaged), the name's ending decides, and at last whether the line looks more like a record."""
    if is_parquet(path):
        return "parquet"
    blank, first = first_line(path)
    line = first.lstrip(b"\xef\xbb\xbf \t").rstrip()
    if line.startswith(b"{") and line.endswith(b"}"):
        return "ndjson"
    if line.startswith(b"["):
        behind = next((text.lstrip() for text in first_lines(path)[blank + 1:] if text.strip()), b"")
        return "ndjson" if line.endswith(b"]") and behind and behind[:1] not in b",]}" else "array"  # lines, of which the first is no record
    names = {name.strip(" \"'") for name in re.split("[" + "".join(DELIMITERS) + "]", line.decode(errors="replace"))}
    if names & set(columns):
        return "csv"
    for suffix in path.suffixes[-2:]:
        if suffix.lower() in NAMED:
            return NAMED[suffix.lower()]
    # a damaged first record still ends like one; a CSV header never ends with a brace
    return "ndjson" if line.startswith(b"{") or line.endswith(b"}") else "csv"


def fields_of(connection: Connection, path: Path, columns: Sequence[str], encoding: str | None = None) -> list[str]:
    """The names of the file's fields, in its order; of JSON those of any record. `encoding`: of text that is not UTF-8."""
    with as_utf8(connection, path, encoding) as text:
        form = form_of(text, columns)
        with readable(text, form):
            if form == "parquet":
                return [name for name, _ in parquet_types(connection, text)]
            if form in ("ndjson", "array"):
                return [row[0] for row in connection.execute(f"select distinct unnest(json_keys(line)) as k "
                        f"from ({_json_lines(connection, text, form)}) where _problem is null order by k").fetchall()]
            return _header(text, columns)[1]


def standing_once(connection: Connection, path: Path, columns: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Of fields that a file has, those that stand in a single record of JSON, with its line: such a name may itself be data."""
    with as_utf8(connection, path, None) as text:
        form = form_of(text, columns)
        if form not in ("ndjson", "array"):
            return {}
        return dict(connection.execute(
            f"select k, min(_line) from (select _line, unnest(json_keys(line)) as k from ({_json_lines(connection, text, form)}) "
            "where _problem is null) where k in (select unnest(?)) group by k having count(*) = 1", [list(names)]).fetchall())


def odd_columns(connection: Connection, path: Path) -> dict[str, str]:
    """Columns of a Parquet file that hold no single value, with what they hold; of other files none."""
    if not is_parquet(path):
        return {}
    with readable(path, "parquet"):
        kinds = dict(parquet_types(connection, path))
    return {name: _kind(kind) for name, kind in kinds.items() if kind.split("(")[0] not in SCALARS or kind.endswith("]")}


def _kind(kind: str) -> str:
    if kind.endswith("]"):
        return "a list in each row"
    return {"STRUCT": "several fields in each row", "MAP": "a map in each row", "BLOB": "bytes that are not marked as text"}.get(
        kind.split("(")[0], f"values of type {kind.split('(')[0].lower()}")


NOT_KEPT = "(not kept: it may hold a list that is only counted)"


def stage_records(connection: Connection, path: Path, columns: Sequence[str], table: str, encoding: str | None = None,
                  counted: Mapping[str, str] = MappingProxyType({})) -> None:
    """Make `table`: _line, _raw (the record, only where it is bad), _problem, and each of `columns` as text (null where the file
    lacks it). The caller has compared `fields_of` with the contract. `counted`: column → the field with a list of which it is the length; the
    list itself comes in nowhere, so of a file with such lists a record that cannot be read is not kept either."""

    def dialect(text: Path) -> tuple[bytes, bytes] | None:
        if form_of(text, columns) != "csv":
            return None
        _, _, delimiter, quote = _header(text, columns)
        return delimiter.encode(), quote.encode()

    with as_utf8(connection, path, encoding, dialect) as text:
        form = form_of(text, columns)
        with readable(text, form):
            {"parquet": _parquet, "ndjson": _json, "array": _json, "csv": _csv}[form](connection, text, columns, table, counted)
            if counted:
                _without_lists(connection, table)


@contextmanager
def readable(path: Path, form: str) -> Iterator[None]:
    try:
        yield
    except engine.Error as error:  # its text may quote a record
        if isinstance(error, engine.PROGRAMMING):
            raise
        raise KampekyError(f"{path} cannot be read as {TOLD[form]}: it is damaged or of another form. Nothing of it was loaded.") from None


def parquet_source(path: Path) -> str:
    """SQL: the rows of a Parquet file, numbered from 0 as ROW. A folder's name (`decision=granted/`) is no value of its files."""
    return f"read_parquet({_exactly(path)}, {ROW} = true, hive_partitioning = false)"


def _exactly(path: Path) -> str:
    """The path as SQL text that names this file alone: DuckDB takes * ? [ for patterns."""
    return quote_text("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))


def parquet_types(connection: Connection, path: Path) -> list[tuple[str, str]]:
    """Each column of a Parquet file with its type, also one that is called like ROW, which no contract names."""
    whole = f"read_parquet({_exactly(path)}, hive_partitioning = false)"
    return [(row[0], row[1]) for row in connection.execute(f"describe from {whole}").fetchall()]


def _without_lists(connection: Connection, table: str) -> None:
    if connection.execute(f"select bool_or(_lists) from {table}").fetchall()[0][0]:
        connection.execute(f"update {table} set _raw = {quote_text(NOT_KEPT)} where _raw is not null")
    connection.execute(f"alter table {table} drop column _lists")


def _length(given: str, lists: str) -> str:
    """SQL: the length of the JSON list `lists` as text; `given` where there is none; no number of anything else."""
    return (f"case when coalesce(json_type({lists}), 'NULL') = 'NULL' then {given} "
            f"when json_type({lists}) = 'ARRAY' then json_array_length({lists})::varchar else 'not a list' end")


def _parquet(connection: Connection, path: Path, columns: Sequence[str], table: str, counted: Mapping[str, str], where: str = "true") -> None:
    found = [name for name, _ in parquet_types(connection, path)]
    lengths = {column: _length(_text(column, found), f"to_json({quote_name(name)})") for column, name in counted.items() if name in found}
    connection.execute(f"""create or replace temp table {table} as
        select {ROW} + 1 as _line, null::varchar as _raw, null::varchar as _problem, {_texts(columns, found, lengths)}{_listed(counted, 'false')}
        from {parquet_source(path)} where {where}""")


def stage_rows(connection: Connection, path: Path, columns: Sequence[str], table: str, where: str) -> None:
    """What `stage_records` makes of a Parquet file, of some of its rows only (SQL over ROW)."""
    with readable(path, "parquet"):
        _parquet(connection, path, columns, table, {}, where)


def json_problem(line: str) -> str:
    """SQL: why a line holds no record; null if it holds one."""
    return f"""case when {line} is null then 'line.not_utf8' when not json_valid({line}) then 'line.not_json'
                    when json_type({line}) <> 'OBJECT' then 'line.not_an_object'
                    when len(json_keys({line})) <> len(list_distinct(json_keys({line}))) then 'line.field_twice' end"""


def nested(columns: Mapping[str, str]) -> str:
    """SQL: the problem of a record in which one of the keys (→ the column it feeds) holds an object or a list: that is no value of a
    column. Only lines that look as if they held one are asked key by key."""
    kinds = ", ".join(f"case when json_type(line, {quote_text('$.' + quote_name(key))}) in ('OBJECT', 'ARRAY') "
                      f"then {quote_text('line.nested_' + column)} end" for key, column in columns.items())
    return (f"case when _problem is null and regexp_matches(line, ':\\s*[\\[{{]') "
            f"then list_filter([{kinds}], lambda x: x is not null)[1] end")


def _json_lines(connection: Connection, path: Path, form: str) -> str:
    """SQL: each record's number and text, and why it is none."""
    if form == "array":
        packed = {"none": "uncompressed"}.get(compression_of(path), compression_of(path))
        return f"""select _line, line, {json_problem("line")} as _problem
                   from (select row_number() over () as _line, coalesce(record::varchar, 'null') as line
                         from read_json({_exactly(path)}, hive_partitioning = false, format = 'array', records = 'false',
                                        columns = {{record: 'JSON'}},
                                        compression = '{packed}'))"""
    connection.register("lines", read_lines(path))
    return f"""select _line, coalesce(line, {LOST}) as line, {json_problem("line")} as _problem
               from (select _line, bytes, trim(ltrim(try(decode(bytes)), chr(65279)), chr(13) || ' ' || chr(9)) as line from lines)
               where line is null or line <> ''"""


def _json(connection: Connection, path: Path, columns: Sequence[str], table: str, counted: Mapping[str, str]) -> None:
    lines = _json_lines(connection, path, form_of(path, columns))
    shape = "{" + ", ".join(f'"{c}": "VARCHAR"' for c in columns) + "}"
    made = {c: f"f.{quote_name(c)}" for c in columns}
    lists = {c: f"json_extract(case when _problem is null then line end, {quote_text('$.' + quote_name(name))})" for c, name in counted.items()}
    texts = _texts(columns, columns, made | {c: _length(made[c], found) for c, found in lists.items()})
    named = " or ".join(f"contains(line, {quote_text(quote_name(name))})" for name in counted.values())
    connection.execute(f"""create or replace temp table {table} as
        select _line, case when _problem is not null then line end as _raw, _problem, {texts}{_listed(counted, named)}
        from (select _line, line, _problem, json_transform(case when _problem is null then line end, {quote_text(shape)}) as f
              from (select _line, line, coalesce(_problem, {nested({c: c for c in columns})}) as _problem from ({lines})))""")


def _csv(connection: Connection, path: Path, columns: Sequence[str], table: str, counted: Mapping[str, str]) -> None:
    blank, header, delimiter, quote = _header(path, columns)
    if not header:  # an empty file: no rows
        connection.execute(f"create or replace temp table {table} as select 0::bigint as _line, null::varchar as _raw, "
                           f"null::varchar as _problem, {_texts(columns, [])}{_listed(counted, 'false')} limit 0")
        return
    shape = "{" + ", ".join(f"{quote_text(name)}: 'VARCHAR'" for name in header) + "}"
    lists = {column: quote_name(name) for column, name in counted.items() if name in header}
    lengths = {column: _length(_text(column, header), f"case when json_valid({text}) then {text} when {text} <> '' then '0' end")
               for column, text in lists.items()}
    # strict: a record that breaks the quoting rules is set aside with its text; of a quote that is never closed,
    # each line that it swallowed is a row of its own
    connection.execute(f"""create or replace temp table {table}_good as
        select row_number() over () as _line, * from read_csv({_exactly(path)}, hive_partitioning = false, auto_detect = false, header = true,
            skip = {blank}, columns = {shape},
            delim = {quote_text(delimiter)}, quote = {quote_text(quote)}, escape = {quote_text(quote)}, strict_mode = true,
            null_padding = false, max_line_size = 16777216, compression = '{compression_of(path)}',
            store_rejects = true, rejects_scan = '{table}_scans', rejects_table = '{table}_rejects')""")
    connection.execute(f"""create or replace temp table {table} as
        select _line, null::varchar as _raw, null::varchar as _problem, {_texts(columns, header, lengths)}{_listed(counted, str(bool(lengths)))}
        from {table}_good
        union all
        select (select count(*) from {table}_good) + row_number() over (order by line, place), text, problem,
               {', '.join(['null'] * len(columns))}{_listed(counted, str(bool(lengths)))}
        from (select line, problem, unnest(texts) as text, generate_subscripts(texts, 1) as place
              from (select line, problem, case when problem = 'line.unquoted_value'
                                               then list_filter(string_split(whole, chr(10)), lambda l: trim(l, {ENDS}) <> '')
                                               else [trim(whole, {ENDS})] end as texts
                    from (select line, min(csv_line) as whole, 'line.' || lower(replace(min(error_type::varchar), ' ', '_')) as problem
                          from {table}_rejects group by line)))""")
    connection.execute(f"drop table {table}_good; drop table {table}_rejects; drop table {table}_scans")


def _header(path: Path, columns: Sequence[str]) -> tuple[int, list[str], str, str]:
    """Blank lines before the header, its names, and the delimiter and quote that make most of them columns of the contract."""
    blank, first = first_line(path)
    try:
        line = first.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KampekyError(f"{path} has a header that is not UTF-8 text. Convert the file to UTF-8, or say in the contract which 'encoding' the "
                           "dataset's files have; nothing of it was loaded.") from None
    if not line.strip():
        return 0, [], ",", '"'
    known = set(columns)
    try:
        names, delimiter, quote = max((([name.strip() for name in next(csv.reader([line], delimiter=d, quotechar=q))], d, q)
                                       for q in QUOTES for d in DELIMITERS), key=lambda split: len(known & set(split[0])))
    except csv.Error:
        raise KampekyError(f"{path} has a header that is no line of CSV. Give its lines LF or CRLF as ends; nothing of it was loaded.") from None
    if len(set(names)) != len(names):
        raise KampekyError(f"{path}: a column stands twice in its header. Nothing of it was loaded.")
    return blank, names, delimiter, quote


def _texts(columns: Sequence[str], found: Sequence[str], made: Mapping[str, str] = MappingProxyType({})) -> str:
    """SQL: each column as text; `made`: the expression of those that do not come as they stand."""
    return ", ".join(f"{made.get(c) or _text(c, found)} as {quote_name(c)}" for c in columns)


def _text(column: str, found: Sequence[str]) -> str:
    return f"{quote_name(column)}::varchar" if column in found else "null::varchar"


def _listed(counted: Mapping[str, str], held: str) -> str:
    return f", {held} as _lists" if counted else ""
