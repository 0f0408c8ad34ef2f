"""The columns of a Parquet file's schema: its leaves, with how deep each is nested."""

from __future__ import annotations

from pipelines.assurance.residue.parquet_pages import Column
from pipelines.assurance.residue.thrift import Structure, Unreadable

_OPTIONAL, _REPEATED = 1, 2
_DECIMAL = 5  # as a converted type, and as a logical one


def leaves(footer: Structure) -> list[Column]:
    """In the order of the column chunks. Raises Unreadable where the tree does not close."""
    elements: list[Structure] = footer[2]
    found: list[Column] = []
    at = _walk(elements, 0, (), 0, 0, found)
    if at != len(elements):
        raise Unreadable("its schema is no tree")
    return found


def _walk(elements: list[Structure], at: int, path: tuple[str, ...], repeated: int, defined: int, found: list[Column]) -> int:
    if at >= len(elements) or len(path) > 64:
        raise Unreadable("its schema is no tree")
    element = elements[at]
    if at:  # the root has no name of its own
        kind = element.get(3, 0)
        repeated, defined = repeated + (kind == _REPEATED), defined + (kind in (_OPTIONAL, _REPEATED))
        path = (*path, element[4].decode("utf-8", "replace"))
    children = element.get(5, 0)
    if not children and at:
        logical = element.get(10, {}).get(_DECIMAL)
        decimal = logical is not None or element.get(6) == _DECIMAL
        scale = (logical or {}).get(1, element.get(7, 0)) if decimal else 0
        found.append(Column(".".join(path), element[1], element.get(2, 0), repeated, defined, decimal, scale))
    at += 1
    for _ in range(children):
        at = _walk(elements, at, path, repeated, defined, found)
    return at
