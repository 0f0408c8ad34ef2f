"""Records in NDJSON, CSV or Parquet → columns of text, and the names of the fields that the file has.

Which fields may be there is the contract's to say: a field that no contract names stops the file before anything is
written (C-10.0: what has no rule is not collected). Types are checked later, from the text.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.engines import duckdb_engine as engine
from pipelines.engines.duckdb_engine import Connection, quote_name, quote_text
from pipelines.foundation.errors import KampekyError
from pipelines.sources.files import compression_of, first_line, is_parquet, mixes_line_ends
from pipelines.sources.lines import LOST, read_lines

ROW = "file_row_number"
ENDS = "chr(13) || chr(10)"
NAMED = {".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "ndjson", ".csv": "csv", ".tsv": "csv"}
DELIMITERS = (",", ";", "\t", "|")


def form_of(path: Path, columns: Sequence[str]) -> str:
    """'parquet', 'ndjson' or 'csv', by content. Where the first line is neither a record nor a header that names a column (it may be
    damaged), the name's ending decides, and at last whether the line looks more like a record."""
    if is_parquet(path):
        return "parquet"
    line = first_line(path)[1].lstrip(b"\xef\xbb\xbf \t").rstrip()
    if line.startswith(b"{") and line.endswith(b"}"):
        return "ndjson"
    names = {name.strip(' "') for name in re.split("[" + "".join(DELIMITERS) + "]", line.decode(errors="replace"))}
    if names & set(columns):
        return "csv"
    for suffix in path.suffixes[-2:]:
        if suffix.lower() in NAMED:
            return NAMED[suffix.lower()]
    # a damaged first record still ends like one; a CSV header never ends with a brace
    return "ndjson" if line.startswith((b"{", b"[")) or line.endswith(b"}") else "csv"


def fields_of(connection: Connection, path: Path, columns: Sequence[str]) -> list[str]:
    """The names of the file's fields, in its order; for NDJSON those of any line."""
    form = form_of(path, columns)
    with _readable(path, form):
        if form == "parquet":
            return [row[0] for row in connection.execute(f"describe from {_parquet_source(path)}").fetchall() if row[0] != ROW]
        if form == "ndjson":
            connection.register("lines", read_lines(path))
            return [row[0] for row in connection.execute(
                f"select distinct unnest(json_keys(line)) as k from ({_json_lines()}) where _problem is null order by k").fetchall()]
        return _header(path, columns)[1]


def standing_once(connection: Connection, path: Path, columns: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Of fields that a file has, those that stand in a single record of NDJSON, with its line: such a name may itself be data."""
    if form_of(path, columns) != "ndjson":
        return {}
    connection.register("lines", read_lines(path))
    return dict(connection.execute(
        f"select k, min(_line) from (select _line, unnest(json_keys(line)) as k from ({_json_lines()}) where _problem is null) "
        "where k in (select unnest(?)) group by k having count(*) = 1", [list(names)]).fetchall())


def stage_records(connection: Connection, path: Path, columns: Sequence[str], table: str) -> None:
    """Make `table`: _line, _raw (the record, only where it is bad), _problem, and each of `columns` as text (null where the file
    lacks it). The caller has compared `fields_of` with the contract."""
    form = form_of(path, columns)
    with _readable(path, form):
        {"parquet": _parquet, "ndjson": _ndjson, "csv": _csv}[form](connection, path, columns, table)


@contextmanager
def _readable(path: Path, form: str) -> Iterator[None]:
    try:
        yield
    except engine.Error:  # its text may quote a record
        if form == "csv" and mixes_line_ends(path):
            raise KampekyError(f"{path} mixes line ends (CRLF and LF). Give all of its lines the same end; nothing of it was loaded.") from None
        raise KampekyError(f"{path} cannot be read as {form}: it is damaged or of another form. Nothing of it was loaded.") from None


def _parquet_source(path: Path) -> str:
    return f"read_parquet({_exactly(path)}, {ROW} = true)"


def _exactly(path: Path) -> str:
    """The path as SQL text that names this file alone: DuckDB takes * ? [ for patterns."""
    return quote_text("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))


def _parquet(connection: Connection, path: Path, columns: Sequence[str], table: str) -> None:
    found = fields_of(connection, path, columns)
    connection.execute(f"""create or replace temp table {table} as
        select {ROW} + 1 as _line, null::varchar as _raw, null::varchar as _problem, {_texts(columns, found)} from {_parquet_source(path)}""")


def _json_lines() -> str:
    """SQL over `lines`: each line as text, and why it holds no record."""
    return f"""select _line, coalesce(line, {LOST}) as line,
                      case when line is null then 'line.not_utf8' when not json_valid(line) then 'line.not_json'
                           when json_type(line) <> 'OBJECT' then 'line.not_an_object'
                           when len(json_keys(line)) <> len(list_distinct(json_keys(line))) then 'line.field_twice' end as _problem
               from (select _line, bytes, trim(ltrim(try(decode(bytes)), chr(65279)), chr(13) || ' ' || chr(9)) as line from lines)
               where line is null or line <> ''"""


def _ndjson(connection: Connection, path: Path, columns: Sequence[str], table: str) -> None:
    connection.register("lines", read_lines(path))
    shape = "{" + ", ".join(f'"{c}": "VARCHAR"' for c in columns) + "}"
    texts = ", ".join(f"f.{quote_name(c)} as {quote_name(c)}" for c in columns)
    # an object or a list is no value of a column; only lines that look as if they held one are asked column by column
    kinds = ", ".join(f"case when json_type(line, {quote_text('$.' + c)}) in ('OBJECT', 'ARRAY') then {quote_text(c + '.type')} end" for c in columns)
    nested = f"case when regexp_matches(line, ':\\s*[\\[{{]') then list_filter([{kinds}], lambda x: x is not null)[1] end"
    connection.execute(f"""create or replace temp table {table} as
        select _line, case when _problem is not null then line end as _raw, _problem, {texts}
        from (select _line, line, _problem, json_transform(case when _problem is null then line end, {quote_text(shape)}) as f
              from (select _line, line, case when _problem is null then {nested} else _problem end as _problem from ({_json_lines()})))""")


def _csv(connection: Connection, path: Path, columns: Sequence[str], table: str) -> None:
    blank, header, delimiter = _header(path, columns)
    if not header:  # an empty file: no rows
        connection.execute(f"create or replace temp table {table} as select 0::bigint as _line, null::varchar as _raw, "
                           f"null::varchar as _problem, {_texts(columns, [])} limit 0")
        return
    shape = "{" + ", ".join(f"{quote_text(name)}: 'VARCHAR'" for name in header) + "}"
    # strict: a record that breaks the quoting rules is set aside with its text; of a quote that is never closed,
    # each line that it swallowed is a row of its own
    connection.execute(f"""create or replace temp table {table}_good as
        select row_number() over () as _line, * from read_csv({_exactly(path)}, auto_detect = false, header = true, skip = {blank}, columns = {shape},
            delim = {quote_text(delimiter)}, quote = '"', escape = '"', strict_mode = true, null_padding = false, max_line_size = 16777216,
            compression = '{compression_of(path)}', store_rejects = true, rejects_scan = '{table}_scans', rejects_table = '{table}_rejects')""")
    connection.execute(f"""create or replace temp table {table} as
        select _line, null::varchar as _raw, null::varchar as _problem, {_texts(columns, header)} from {table}_good
        union all
        select (select count(*) from {table}_good) + row_number() over (order by line, place), text, problem, {', '.join(['null'] * len(columns))}
        from (select line, problem, unnest(texts) as text, generate_subscripts(texts, 1) as place
              from (select line, problem, case when problem = 'line.unquoted_value'
                                               then list_filter(string_split(whole, chr(10)), lambda l: trim(l, {ENDS}) <> '')
                                               else [trim(whole, {ENDS})] end as texts
                    from (select line, min(csv_line) as whole, 'line.' || lower(replace(min(error_type::varchar), ' ', '_')) as problem
                          from {table}_rejects group by line)))""")
    connection.execute(f"drop table {table}_good; drop table {table}_rejects; drop table {table}_scans")


def _header(path: Path, columns: Sequence[str]) -> tuple[int, list[str], str]:
    """Blank lines before the header, its names, and the delimiter that makes most of them columns of the contract."""
    blank, first = first_line(path)
    try:
        line = first.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KampekyError(f"{path} has a header that is not UTF-8 text. Convert the file to UTF-8; nothing of it was loaded.") from None
    if not line.strip():
        return 0, [], ","
    known = set(columns)
    try:
        names, delimiter = max((([name.strip() for name in next(csv.reader([line], delimiter=d))], d) for d in DELIMITERS),
                               key=lambda split: len(known & set(split[0])))
    except csv.Error:
        raise KampekyError(f"{path} has a header that is no line of CSV. Give its lines LF or CRLF as ends; nothing of it was loaded.") from None
    if len(set(names)) != len(names):
        raise KampekyError(f"{path}: a column stands twice in its header. Nothing of it was loaded.")
    return blank, names, delimiter


def _texts(columns: Sequence[str], found: Sequence[str]) -> str:
    return ", ".join(f"{quote_name(c)}::varchar as {quote_name(c)}" if c in found else f"null::varchar as {quote_name(c)}" for c in columns)
