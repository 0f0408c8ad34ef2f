"""The files of a lake, with the key that opens each: what its catalog knows of them, in every snapshot that it still has.

A Parquet file in the data folder that the catalog does not know gets no key here, so a scan says that it cannot be read: nobody knows what is
in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipelines.assurance.residue.scan import Subjectfile
from pipelines.engines.duckdb_engine import Connection


@dataclass(frozen=True)
class LakeFile:
    """A data file or a file of deletions. `key`: base64, or None if the lake is not encrypted."""

    path: Path
    key: str | None = field(repr=False)


def lake_files(connection: Connection, alias: str, data: Path) -> list[LakeFile]:
    """The files that the catalog of the lake attached as `alias` knows, those of older snapshots too. `data`: the lake's data folder."""
    meta = f"__ducklake_metadata_{alias}"
    rows = connection.execute(f"""
        with files as (
            select table_id, path, path_is_relative, encryption_key from {meta}.ducklake_data_file
            union all
            select table_id, path, path_is_relative, encryption_key from {meta}.ducklake_delete_file),
        schemas as (select schema_id, any_value(path) as path, any_value(path_is_relative) as relative from {meta}.ducklake_schema group by all),
        tables as (select table_id, any_value(schema_id) as schema_id, any_value(path) as path, any_value(path_is_relative) as relative
                   from {meta}.ducklake_table group by table_id)
        select f.path, f.path_is_relative, t.path, t.relative, s.path, s.relative, f.encryption_key
        from files as f join tables as t using (table_id) join schemas as s using (schema_id)""").fetchall()
    found: dict[Path, LakeFile] = {}
    for path, relative, table, table_relative, schema, schema_relative, key in rows:
        folder = Path(schema) if not schema_relative else data / schema
        folder = Path(table) if not table_relative else folder / table
        file = Path(path) if not relative else folder / path
        found[file] = LakeFile(file, key or None)
    return [found[path] for path in sorted(found)]


def subject_files(connection: Connection, alias: str, data: Path, home: Path) -> list[Subjectfile]:
    """Every file below `data`, with the key that the catalog has for it, and every one that the catalog names and that is not there."""
    root = data.resolve()
    keys = {file.path: file.key for file in lake_files(connection, alias, root)}
    there = {path for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}  # a link is shown as one, not as what it leads to
    return [Subjectfile(path, _shown(path, home), keys.get(path)) for path in sorted(there | set(keys))]


def _shown(path: Path, home: Path) -> str:
    root = home.resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else path.name
