"""The coverage rule: every dataset and column says what the platform must know of it, and every store holds what a contract declares.

Both halves are pure and collect: who adds a dataset is told everything that is missing at once, not one word a run. The first looks at the
YAML documents before they are typed; what a word *says* is looked up afterwards, where a document becomes a type. The second compares the
shapes of stores, which others read; it sees names and types, never a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.foundation.errors import Refused

RULE = "coverage rule"
COLUMN = ("description", "physicalType")
COLUMN_WORDS = ("category", "identifiability", "visibility", "export")
DATASET_WORDS = ("format", "subjects", "erasure", "holding", "badRows")
HOLDING = ("basis", "clause", "origin")
POLICY = {  # section → what each of its entries must say
    "categories": ("clause", "description"), "consent_kinds": ("clause", "scope"),
    "purposes": ("clause", "description", "published", "audience", "sources"),
    "recipients": ("clause", "kind", "ground", "country", "safeguard", "receives"), "retention": ("description", "clock"), "roles": ("clause",),
    "rights": ("clause", "deadline"),
}
CLOCKS = {"event_day": ("periods",), "account": ("after_deletion", "after_last_activity")}

Shape = Mapping[str, Mapping[str, str]]  # table → column → type


@dataclass(frozen=True)
class Missing:
    """A word that a file does not say, of one of its columns or entries, or (where None) of the whole."""

    file: str
    of: str | None
    word: str


@dataclass(frozen=True)
class Difference:
    """What a store and the rules disagree in. `kind`: undeclared, missing, type, or person_key (undeclared, and it tells one member from another)."""

    store: str
    table: str
    column: str | None
    kind: str
    detail: str


# --- words ---


def missing(documents: Mapping[str, Mapping[str, Any]]) -> list[Missing]:
    """Every missing word of the policy and all contracts, given as file name → document."""
    policy = documents.get("policy.yaml", {})
    found = [Missing("policy.yaml", *place) for place in _policy(policy)]
    clocks = {name: _mapping(rule).get("clock") for name, rule in _mapping(policy.get("retention")).items()}
    for file, document in documents.items():
        if file != "policy.yaml":
            found += [Missing(file, *place) for place in _contract(document, clocks)]
    return found


def refuse_missing(found: Iterable[Missing]) -> None:
    """Refuse once, naming each file, column and word."""
    files: dict[str, dict[str | None, list[str]]] = {}
    for entry in found:
        files.setdefault(entry.file, {}).setdefault(entry.of, []).append(entry.word)
    if not files:
        return
    count = sum(len(words) for places in files.values() for words in places.values())
    told = " ".join(f"{file}: " + "; ".join(f"{f'{of} lacks' if of else 'lacks'} {', '.join(words)}" for of, words in places.items()) + "."
                    for file, places in files.items())
    raise Refused(f"{count} {'word is' if count == 1 else 'words are'} missing. {told} Write them, then run: kampeky contracts check", RULE)


def _policy(document: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    for section, words in POLICY.items():
        if not document.get(section):
            yield None, section
        for name, entry in _mapping(document.get(section)).items():
            said = _mapping(entry)
            needed = (*words, *CLOCKS.get(str(said.get("clock")), ())) if section == "retention" else words
            for word in needed:
                if _absent(said.get(word)):
                    yield f"{section}.{name}", word
            if section == "purposes":
                for category, source in _mapping(said.get("sources")).items():
                    if _absent(_mapping(source).get("basis")):
                        yield f"purposes.{name}.sources.{category}", "basis"


def _contract(document: Mapping[str, Any], clocks: Mapping[str, object]) -> Iterator[tuple[str | None, str]]:
    """`clocks`: retention rule → its clock."""
    if _absent(_mapping(document.get("description")).get("purpose")):
        yield None, "purpose (description.purpose)"
    sla = [_mapping(entry) for entry in _list(document.get("slaProperties"))]
    for word in ("retention", "frequency"):
        if not any(entry.get("property") == word and not _absent(entry.get("value")) for entry in sla):
            yield None, f"{word} (slaProperties)"
    for table in map(_mapping, _list(document.get("schema"))):
        said = _custom(table)
        if _absent(table.get("dataGranularityDescription")):
            yield None, "grain (dataGranularityDescription)"
        if not any("mustBeBetween" in _mapping(rule) for rule in _list(table.get("quality"))):
            yield None, "volume (quality rowCount)"
        for word in DATASET_WORDS:
            if _absent(said.get(word)):
                yield None, word
        for word in HOLDING:
            if "holding" in said and _absent(_mapping(said["holding"]).get(word)):
                yield None, f"holding.{word}"
        columns = [_mapping(column) for column in _list(table.get("properties"))]
        rules = [entry.get("value") for entry in sla if entry.get("property") == "retention"] + [_custom(c).get("retention") for c in columns]
        running = sorted({str(rule) for rule in rules if rule and clocks.get(str(rule)) == "event_day"})
        if running and _absent(said.get("clock")):
            yield None, f"clock ({', '.join(running)} runs from the event's day, but no 'clock' column is named)"
        for position, column in enumerate(columns):
            name = f"column {column.get('name') or position + 1}"
            for word in _column(column, severed=said.get("erasure") == "sever"):
                yield name, word


def _column(column: Mapping[str, Any], severed: bool) -> Iterator[str]:
    said = _custom(column)
    yield from (word for word in COLUMN if _absent(column.get(word)))
    yield from (word for word in COLUMN_WORDS if _absent(said.get(word)))
    export = said.get("export")
    if export in ("access_only", "none") or (isinstance(export, dict) and any(_absent(reason) for reason in export.values())):
        yield "export's reason"
    if severed and _absent(said.get("erasure")):
        yield "erasure"


def _custom(of: Mapping[str, Any]) -> dict[str, Any]:
    return {str(_mapping(entry).get("property")): _mapping(entry).get("value") for entry in _list(of.get("customProperties"))}


def _mapping(value: object) -> Mapping[str, Any]:
    """Whatever is no mapping says nothing here; what it should have been is told where it is typed."""
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _absent(value: object) -> bool:
    return value is None or value == ""


# --- stores ---


def compare(store: str, declared: Shape, found: Shape, person_keys: Mapping[str, frozenset[str]]) -> list[Difference]:
    """The differences between a store and the rules, both ways. `person_keys`: table → those of its columns that tell members apart.
    A store with no table at all was never written: nothing of it is missing."""
    if not found:
        return []
    differences = []
    for table in sorted(found.keys() | declared.keys()):
        if table not in found:
            differences.append(Difference(store, table, None, "missing", "declared, but not there"))
            continue
        keys = person_keys.get(table, frozenset())
        if table not in declared:
            kind, detail = ("person_key", ", ".join(sorted(keys))) if keys else ("undeclared", "no contract declares it")
            differences.append(Difference(store, table, None, kind, detail))
            continue
        here, wanted = found[table], declared[table]
        for column in [*wanted, *(c for c in here if c not in wanted)]:
            if column not in here:
                differences.append(Difference(store, table, column, "missing", "declared, but not there"))
            elif column not in wanted:
                kind, detail = ("person_key", column) if column in keys else ("undeclared", "no contract declares it")
                differences.append(Difference(store, table, column, kind, detail))
            elif here[column] != wanted[column]:
                differences.append(Difference(store, table, column, "type", f"{here[column]}, declared as {wanted[column]}"))
    return differences


def refuse_differences(found: Iterable[Difference]) -> None:
    """Refuse once, naming each; what nobody declared and holds a person key comes first, in a sentence of its own."""
    told = list(found)
    if not told:
        return
    keys = [d for d in told if d.kind == "person_key"]
    sentences = [f"{_place(d)} holds a person key ({d.detail}) that nobody declared: whose data these are, why they are held and when they end, "
                 "no rule says." for d in keys]
    others = [f"{_place(d)}: {d.detail}" for d in told if d.kind != "person_key"]
    if others:
        sentences.append(f"Stores and contracts differ: {'; '.join(others)}.")
    raise Refused(f"{' '.join(sentences)} Declare it in data_contracts/ or remove it; a raw table or column that is missing is made by the next "
                  "kampeky ingest, a zone or mart of earlier rules is made anew by: kampeky build", RULE)


def _place(of: Difference) -> str:
    return f"{of.store}: {of.table}" + (f".{of.column}" if of.column else "")
