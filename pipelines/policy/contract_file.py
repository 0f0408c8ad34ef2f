"""One ODCS v3.1 file → Contract: valid by the standard's own schema, and every word of ours known to the policy."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipelines.foundation.dates import Period
from pipelines.policy import documents
from pipelines.policy.contract_types import (
    Account,
    Column,
    ConsentRegister,
    Contract,
    DatasetRetention,
    Door,
    Export,
    Holding,
    Limit,
    RowRule,
    Subject,
    Transform,
)
from pipelines.policy.documents import Reader
from pipelines.policy.types import Policy
from pipelines.policy.vocabulary import (
    COLUMN_ERASURES,
    ERASURES,
    EXPORTS,
    FORMATS,
    HOLDING_BASES,
    IDENTIFIES,
    LEAVES,
    ORIGINS,
    TRANSFORMABLE,
    TRANSFORMS,
    VALUE_FORMS,
)

TYPES = ("VARCHAR", "BIGINT", "DECIMAL(12,2)", "BOOLEAN", "DATE", "TIMESTAMPTZ")
DATASET_WORDS = ("format", "subjects", "clock", "device", "latestBy", "account", "erasure", "holding", "badRows", "consentRegister", "rowRules",
                 "severGroup", "visitorsOnly", "recipient", "logFormat", "encoding", "postgres")
SOURCE_WORDS = ("logFormat", "encoding", "postgres")  # pipelines/sources/declared.py says what each may be
NO_CONSENT = "none"  # as a kind of consent: rows with that value need none
COLUMN_WORDS = ("category", "identifiability", "visibility", "transforms", "export", "erasure", "retention", "door", "identifies")


def load_contract(path: Path, policy: Policy, read: dict[str, Any] | None = None) -> Contract:
    """The contract in `path`; `read` is its document, where the caller has read it already."""
    document = documents.read(path) if read is None else read
    _check_standard(document, path.name)
    top = Reader(document, path.name)
    tables = top.items("schema")
    if len(tables) != 1:
        raise top.fail("expected exactly one table under 'schema'.")
    table = Reader(tables[0], f"{path.name}: schema")
    name = table.text("name")
    if path.name != f"{name}.odcs.yaml":
        raise top.fail(f"the file of dataset '{name}' must be called {name}.odcs.yaml.")
    words = _custom(table, DATASET_WORDS)
    erasure = words.word("erasure", ERASURES)
    columns = tuple(_column(Reader(entry, f"{path.name}: column"), policy, erasure) for entry in table.items("properties"))
    names = [c.name for c in columns]
    if len(set(names)) != len(names):
        raise top.fail("a column stands twice.")

    def column(key: str, timestamps: bool = False) -> str | None:
        if words.get(key) is None:
            return None
        return words.known(key, words.get(key), [c.name for c in columns if not timestamps or c.type in ("TIMESTAMPTZ", "DATE")])

    return Contract(
        name=name, version=str(top.need("version")), path=path.name, purpose=str(top.inner("description").get("purpose") or ""),
        limitations=str(top.inner("description").get("limitations") or ""), grain=str(table.get("dataGranularityDescription") or ""),
        format=words.word("format", FORMATS), columns=columns,
        subjects=tuple(_subject(entry, words, names) for entry in words.items("subjects")),
        retention=_retention(top, name, columns, policy, _visitors_only(words, policy)), erasure=erasure,
        holding=_holding(words.inner("holding"), policy, columns), bad_rows=_limit(words.inner("badRows")), every=_every(top), volume=_volume(table),
        clock=column("clock", timestamps=True), device=column("device"), latest_by=column("latestBy", timestamps=True),
        sever_group=column("severGroup"), recipient=column("recipient"),
        row_rules=tuple(_row_rule(Reader(r, f"{words.where}.rowRules")) for r in words.items("rowRules")),
        account=_account(words, columns) if words.get("account") else None,
        source=MappingProxyType({word: words.get(word) for word in SOURCE_WORDS if words.get(word) is not None}),
        consent_register=(ConsentRegister(**_columns_of(words, "consentRegister", ConsentRegister, names))
                          if words.get("consentRegister") else None))


def _check_standard(document: dict[str, Any], name: str) -> None:
    errors = sorted(_standard().iter_errors(json.loads(json.dumps(document, default=str))), key=lambda e: list(map(str, e.instance_path)))
    if errors:
        at = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in errors[0].instance_path).lstrip(".") or "the top"
        more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
        raise Reader({}, name).fail(f"not valid ODCS at {at}: {errors[0].message[:200]}{more}")


@cache
def _standard() -> Any:
    import jsonschema_rs

    return jsonschema_rs.Draft201909Validator(json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text()))


def _custom(of: Reader, known: tuple[str, ...]) -> Reader:
    names = [entry["property"] for entry in of.items("customProperties")]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise of.fail(f"customProperties: {', '.join(sorted(twice))} stands twice.")
    return Reader({entry["property"]: entry["value"] for entry in of.items("customProperties")}, of.where).only(known)


def _column(entry: Reader, policy: Policy, erasure: str) -> Column:
    name = entry.text("name")
    entry = Reader(entry.content, f"{entry.where} '{name}'")
    words = _custom(entry, COLUMN_WORDS)
    options = Reader(entry.get("logicalTypeOptions") or {}, f"{entry.where}: logicalTypeOptions").only(
        ("pattern", "minLength", "maxLength", "minimum", "maximum", "format"))
    kind = entry.word("physicalType", TYPES)
    unfit = set(options.content) - set({"VARCHAR": ("pattern", "minLength", "maxLength", "format"), "BIGINT": ("minimum", "maximum"),
                                        "DECIMAL(12,2)": ("minimum", "maximum")}.get(kind, ()))
    try:
        re.compile(str(options.get("pattern") or ""))
    except re.error:
        raise options.fail("'pattern' is no regular expression.") from None
    if entry.get("primaryKey") and not entry.get("required"):
        raise entry.fail("a primary key is required: a row without one could not be told from another.")
    if unfit:
        raise options.fail(f"{', '.join(sorted(unfit))} cannot be checked on a {kind}.")
    category = words.word("category", policy.categories)
    transforms = {}
    for purpose, given in Reader(words.get("transforms") or {}, f"{entry.where}: transforms").content.items():
        words.known("purpose", purpose, policy.purposes)
        spec = Reader(given if isinstance(given, dict) else {"use": given}, f"{entry.where}: transforms.{purpose}").only(("use", "as", "values"))
        use = spec.word("use", TRANSFORMS)
        if kind not in TRANSFORMABLE.get(use, (kind,)):
            raise spec.fail(f"'{use}' cannot be made of a {kind}.")
        left = LEAVES.get(use, category)
        if left not in policy.categories:
            raise spec.fail(f"'{use}' leaves something of category '{left}', which the policy does not name.")
        if left not in policy.purposes[purpose].sources:
            raise entry.fail(f"category '{left}' must not flow into purpose '{purpose}' (C-3.0, C-3.3a). Remove the transform, "
                             f"or let the policy's purpose matrix name the category.")
        if use == "keep" and words.get("identifiability") in ("direct", "free_text") and not policy.purposes[purpose].identified:
            raise entry.fail(f"a column that is {words.get('identifiability')} must not be kept as it is in purpose '{purpose}' (C-3.3b).")
        transforms[purpose] = Transform(use, str(spec.get("as") or {"pseudonym": "pseudonym", "paris_day": "paris_day"}.get(use)
                                                 or (name if use in ("keep", "moment") else use)),
                                         left, tuple(map(str, spec.items("values"))))
    export = words.need("export")
    right, reason = next(iter(export.items())) if isinstance(export, dict) and len(export) == 1 else (export, None)
    if words.known("export", right, EXPORTS) != "portability" and not reason:
        raise entry.fail(f"export '{right}' needs its reason (C-11.5): {{{right}: \"…\"}}.")
    return Column(
        name=name, description=entry.text("description"), type=kind,
        required=bool(entry.get("required", False)), primary_key=bool(entry.get("primaryKey", False)), category=category,
        identifiability=words.word("identifiability", policy.identifiability), visibility=words.word("visibility", policy.visibility),
        export=Export(str(right), reason), erasure="delete" if erasure == "delete" else words.word("erasure", COLUMN_ERASURES[1:]),
        door=_door(words, kind, bool(entry.get("required"))), transforms=MappingProxyType(transforms), pattern=options.get("pattern"),
        min_length=options.get("minLength"), max_length=options.get("maxLength"), minimum=options.get("minimum"),
        maximum=options.get("maximum"), allowed=_allowed(entry),
        form=options.word("format", VALUE_FORMS) if options.get("format") else None,
        partitioned=bool(entry.get("partitioned", False)), retention=words.word("retention", policy.retention) if words.get("retention") else None,
        identifies=words.word("identifies", IDENTIFIES) if words.get("identifies") else None)


def _allowed(entry: Reader) -> tuple[str, ...]:
    rules = entry.items("quality")
    if len(rules) > 1:
        raise entry.fail("has more than one quality rule; one list of valid values is all that a column can have.")
    for rule in rules:
        at = Reader(rule, f"{entry.where}: quality")
        at.word("metric", ("invalidValues",))
        if at.get("mustBe") != 0:
            raise at.fail("mustBe must be 0: a row either breaks a rule or not.")
        return at.inner("arguments").words("validValues")
    return ()


def _account(words: Reader, columns: tuple[Column, ...]) -> Account:
    named = _columns_of(words, "account", Account, [c.name for c in columns])
    for field, kind in (("deleted", "TIMESTAMPTZ"), ("last_activity", "DATE"), ("age_confirmed", "BOOLEAN"), ("birthday", "DATE"),
                        ("registered", "TIMESTAMPTZ")):
        if next(c.type for c in columns if c.name == named[field]) != kind:
            raise words.fail(f"account: '{field}' must name a column of type {kind}.")
    return Account(**named)


def _row_rule(entry: Reader) -> RowRule:
    entry.only(("name", "expression", "description"))
    return RowRule(entry.text("name"), entry.text("expression"), entry.text("description"))


def _visitors_only(words: Reader, policy: Policy) -> list[str]:
    return [words.known("visitorsOnly", rule, policy.retention) for rule in words.items("visitorsOnly")]


def _subject(given: object, words: Reader, names: list[str]) -> Subject:
    entry = Reader(given, f"{words.where}.subjects").only(("column", "as", "mark", "ends"))
    if (entry.get("mark") or entry.get("ends")) and words.get("erasure") != "sever":
        raise entry.fail("'mark' and 'ends' are for erasure 'sever': elsewhere the row goes with any of its members.")
    return Subject(entry.word("column", names), entry.text("as"), entry.word("mark", names) if entry.get("mark") else None,
                   entry.word("ends", ("row",)) == "row" if entry.get("ends") else False)


def _holding(entry: Reader, policy: Policy, columns: tuple[Column, ...]) -> Holding:
    entry.only(("basis", "clause", "origin", "kind"))
    basis, given = entry.word("basis", HOLDING_BASES), entry.get("kind")
    if (basis == "consent") != (given is not None):
        raise entry.fail("a basis of consent names its kind of consent, and no other basis does.")
    held = Holding(basis, entry.text("clause"), entry.word("origin", ORIGINS))
    if given is None:
        return held
    if not isinstance(given, dict):
        return replace(held, kind=entry.word("kind", policy.consent_kinds))
    by = Reader(given, f"{entry.where}.kind").only([c.name for c in columns if c.allowed])
    if len(by.content) != 1:
        raise by.fail("expected one column, and the kind of consent for each of its values.")
    column = next(c for c in columns if c.name in by.content)
    kinds = by.inner(column.name).only(column.allowed)
    # each value, or a new one would need no consent
    words = {value: kinds.word(value, (*policy.consent_kinds, NO_CONSENT)) for value in column.allowed}
    return replace(held, by=column.name, kinds=MappingProxyType({value: None if word == NO_CONSENT else word for value, word in words.items()}))


def _limit(entry: Reader) -> Limit:
    percent, rows = entry.only(("percent", "rows")).need("percent"), entry.need("rows")
    if not isinstance(percent, int | float) or not 0 <= percent <= 100 or not isinstance(rows, int) or rows < 0:
        raise entry.fail("'percent' must be a number from 0 to 100 and 'rows' a whole number.")
    return Limit(float(percent), rows)


def _every(top: Reader) -> Period:
    """ODCS slaProperties frequency: how often a new batch is due."""
    for position, entry in enumerate(top.items("slaProperties")):
        at = Reader(entry, f"{top.where}: slaProperties[{position}]")
        if at.get("property") == "frequency":
            return at.period(f"P{at.need('value')}{str(at.need('unit')).upper()[:1]}")
    raise top.fail("slaProperties names no frequency: how often is a new batch due?")


def _volume(table: Reader) -> tuple[int, int]:
    """ODCS quality of the table: how many rows a batch has."""
    for rule in table.items("quality"):
        at = Reader(rule, f"{table.where}: quality")
        at.word("metric", ("rowCount",))
        least, most = at.need("mustBeBetween")
        return int(least), int(most)
    raise table.fail("quality names no rowCount: how many rows has a batch?")


def _door(words: Reader, kind: str, required: bool) -> Door:
    if words.get("door") is None:
        return Door()
    entry = words.inner("door").only(("round", "onlyWhile", "count"))
    if entry.get("round") is not None and kind != "DECIMAL(12,2)":
        raise entry.fail("'round' is for a DECIMAL(12,2).")
    if entry.get("count") is not None and (kind != "BIGINT" or not re.fullmatch("[a-z_]+", entry.text("count"))):
        raise entry.fail("'count' names the source's field with a list, for a BIGINT that is its length.")
    limits = Reader(entry.get("onlyWhile") or {}, f"{entry.where}: onlyWhile")
    if len(limits.content) > 1:
        raise limits.fail("expected one column and the values with which this one is kept.")
    if limits.content and required:
        raise entry.fail("a column that is kept only at times cannot be required.")
    while_ = next(((column, limits.words(column)) for column in limits.content), None)
    return Door(entry.get("round"), while_, entry.get("count"))


def _columns_of(words: Reader, key: str, shape: Any, names: list[str]) -> dict[str, str]:
    wanted = [field.name for field in fields(shape)]
    entry = words.inner(key).only(wanted)
    return {field: entry.word(field, names) for field in wanted}


def _retention(top: Reader, name: str, columns: tuple[Column, ...], policy: Policy, visitors_only: list[str]) -> tuple[DatasetRetention, ...]:
    rules = []
    for position, entry in enumerate(top.items("slaProperties")):
        at = Reader(entry, f"{top.where}: slaProperties[{position}]")
        if at.get("property") != "retention":
            continue
        rule = at.word("value", policy.retention)
        rules.append(DatasetRetention(rule, rule in visitors_only))
        element = str(at.need("element")).removeprefix(f"{name}.")
        days = [c.name for c in columns if c.type in ("TIMESTAMPTZ", "DATE")]
        if element not in days:
            raise at.fail(f"retention element '{element}' is not a day or time of '{name}'. Columns that are: {', '.join(days)}. "
                          "Then run: kampeky contracts check")
        clock = _custom(Reader(top.items("schema")[0], top.where), DATASET_WORDS).get("clock")
        if policy.retention[rule].clock == "event_day" and clock in days and element != clock:
            raise at.fail(f"rule {rule} runs from the event's day, so its element is the dataset's clock '{clock}', not '{element}'.")
    if not rules:
        raise top.fail("slaProperties names no retention: without one nothing may be collected (C-10.0).")
    return tuple(rules)
