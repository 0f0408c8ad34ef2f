"""What stands around a file says nothing of its rows: folders are named by whoever delivers."""

from __future__ import annotations

import io
import json

import house
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from house import counts, ingest, put, raw

from pipelines.foundation.errors import Refused


def array(_dataset, rows):
    return json.dumps(rows, default=str).encode()


@pytest.mark.parametrize("write", [*house.FORMS.values(), array], ids=[*house.FORMS, "array"])
def test_a_folder_that_is_called_like_a_column_and_its_value_changes_no_row(tmp_path, write):
    home = house.new_home(tmp_path / "member_id=evil")
    row = house.consent(1, decision="withdrawn")
    path = put(tmp_path / "decision=granted" / "date=2015-05-18" / "record=5" / "file", write("consents", [row]))
    assert counts(ingest(home, ("consents", path))[0]) == (1, 1, 0, 0, 0)
    assert raw(home, "select decision, member_id from lake.main.consents") == [("withdrawn", "m000001")]


@pytest.mark.parametrize("name", ["file_row_number", "FILE_ROW_NUMBER"])
def test_a_column_called_like_the_number_of_a_row_is_one_that_no_contract_names(tmp_path, name):
    out = io.BytesIO()
    content = pa.table({key: [value] for key, value in house.consent(1).items()}).append_column(name, pa.array([7]))
    parquet.write_table(content, out)
    home = house.new_home(tmp_path)
    with pytest.raises(Refused, match=f"field {name} is named by no contract"):
        ingest(home, ("consents", put(tmp_path / "file.parquet", out.getvalue())))
