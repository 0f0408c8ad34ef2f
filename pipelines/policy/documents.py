"""YAML documents read strictly: every word is looked up, and an unknown one is an error that lists the known ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.resolver import BaseResolver

from pipelines.foundation.dates import Period
from pipelines.foundation.errors import Misuse, Refused

RULE = "the policy is the program"


class _Loader(yaml.CSafeLoader):
    """Refuses a key that stands twice in one mapping: YAML would silently keep the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key is True and key_node.value == "on":  # a word of ours that YAML 1.1 takes for a yes
            key = "on"
        if not isinstance(key, str):
            raise ConstructorError(None, None, "a key must be a word", key_node.start_mark)
        if key in made:
            raise ConstructorError(None, None, f"'{key}' stands twice", key_node.start_mark)
        made[key] = loader.construct_object(value_node, deep=True)
    return made


_Loader.add_constructor(BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(path: Path) -> dict[str, Any]:
    """The document at `path`; a sentence with the line if it cannot be read."""
    if not path.is_file():
        raise Refused(f"{path}: there is no such file.", RULE)
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise Refused(f"{path.name} is not valid YAML{where}: {getattr(error, 'problem', None) or 'unreadable'}.", RULE) from None
    except UnicodeDecodeError:
        raise Refused(f"{path.name} is not UTF-8 text.", RULE) from None
    except ValueError:
        raise Refused(f"{path.name} holds a day that no calendar has.", RULE) from None
    if not isinstance(found, dict):
        raise Refused(f"{path.name} holds no mapping; expected the keys of a policy or contract.", RULE)
    return found


class Reader:
    """A mapping within a document that remembers where it stands, so that each complaint names the place."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise Refused(f"{where}: expected a mapping.", RULE)
        self.content: dict[str, Any] = content
        self.where = where

    def fail(self, message: str) -> Refused:
        return Refused(f"{self.where}: {message}", RULE)

    def only(self, known: Iterable[str]) -> Reader:
        """Refuse keys outside `known`."""
        allowed = list(known)
        for key in self.content:
            if key not in allowed:
                raise self.fail(f"'{key}' is unknown. Known: {', '.join(sorted(allowed))}.")
        return self

    def need(self, key: str) -> Any:
        if self.content.get(key) is None:
            raise self.fail(f"'{key}' is missing.")
        return self.content[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self.content.get(key, default)

    def word(self, key: str, known: Iterable[str]) -> str:
        """The word at `key`, which must stand in the vocabulary."""
        return self.known(key, self.need(key), known)

    def known(self, key: str, word: object, known: Iterable[str]) -> str:
        vocabulary = list(known)
        if not isinstance(word, str) or word not in vocabulary:
            raise self.fail(f"{key} '{word}' is unknown. Known: {', '.join(sorted(vocabulary))}.")
        return word

    def text(self, key: str) -> str:
        found = self.need(key)
        if not isinstance(found, str):
            raise self.fail(f"'{key}' must be text.")
        return found

    def inner(self, key: str) -> Reader:
        return Reader(self.need(key), f"{self.where}: {key}")

    def each(self, key: str) -> list[tuple[str, Reader]]:
        """The named mappings under `key`."""
        return [(name, Reader(value, f"{self.where}: {key}.{name}")) for name, value in self.inner(key).content.items()]

    def words(self, key: str) -> tuple[str, ...]:
        """The texts listed at `key`, at least one."""
        found = self.need(key)
        if not isinstance(found, list) or not found or not all(isinstance(word, str) for word in found):
            raise self.fail(f"'{key}' must be a list of words, such as [one, two].")
        return tuple(found)

    def period(self, text: object) -> Period:
        """An ISO-8601 period."""
        try:
            return Period.parse(str(text))
        except Misuse as error:
            raise self.fail(str(error)) from None

    def items(self, key: str) -> list[Any]:
        found = self.get(key) or []
        if not isinstance(found, list):
            raise self.fail(f"'{key}' must be a list.")
        return found
