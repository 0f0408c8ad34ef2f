"""DuckDB as the house opens it: an extension whose signature was checked once is loaded fast, and no other one is loaded for it."""

from __future__ import annotations

import os
import shutil

import pytest

from pipelines.engines import duckdb_engine as engine
from pipelines.foundation.errors import KampekyError

NAME = "httpfs"


@pytest.fixture
def binary(tmp_path, monkeypatch):
    """A copy of the packaged extension that is the house's for the test."""
    copy = tmp_path / f"{NAME}.duckdb_extension"
    shutil.copy(engine.extension_binary(NAME), copy)
    monkeypatch.setattr(engine, "extension_binary", lambda _: copy)
    return copy


def opens(tmp_path):
    connection = engine.connect(tmp_path, extensions=(NAME,))
    loaded = connection.execute("select loaded from duckdb_extensions() where extension_name = ?", [NAME]).fetchall()
    unsigned = connection.execute("select current_setting('allow_unsigned_extensions')").fetchall()
    connection.close()
    return loaded == [(True,)] and unsigned == [(False,)]


def test_a_checked_extension_opens_again_and_the_check_cannot_be_turned_off_afterwards(tmp_path, binary):
    assert opens(tmp_path) and opens(tmp_path)
    connection = engine.connect(tmp_path, extensions=(NAME,))
    with pytest.raises(engine.Error):
        connection.execute("set allow_unsigned_extensions = true")


@pytest.mark.parametrize("replaced", [False, True])
def test_an_extension_that_was_changed_since_is_refused(tmp_path, binary, replaced):
    assert opens(tmp_path)
    content = bytearray(binary.read_bytes())
    content[len(content) // 2] ^= 1
    was = binary.stat()
    target = tmp_path / "other" if replaced else binary
    if not replaced:
        binary.unlink()  # the mapped one keeps its pages
    target.write_bytes(content)
    os.utime(target, ns=(was.st_atime_ns, was.st_mtime_ns))
    if replaced:
        target.replace(binary)
    with pytest.raises(KampekyError, match="is not installed"):
        engine.connect(tmp_path, extensions=(NAME,))


def test_one_that_was_never_checked_is_not_let_in_by_one_that_was(tmp_path, binary, monkeypatch):
    assert opens(tmp_path)
    other = tmp_path / "other.duckdb_extension"
    content = bytearray(binary.read_bytes())
    content[-1] ^= 1  # its signature
    other.write_bytes(content)
    monkeypatch.setattr(engine, "extension_binary", lambda _: other)
    with pytest.raises(KampekyError, match="is not installed"):
        engine.connect(tmp_path, extensions=(NAME,))
