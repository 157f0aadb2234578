"""As much of CEL as the filter's own list of attributes has.

Lists, paths, keys, texts, and conditions of the forms `has(path)?a:b` and `"key" in path?a:b`.
"""

from __future__ import annotations

from collections.abc import Callable

Find = Callable[[str], bytes | None]
"""Looks a property up by its path, with dots."""
Encode = Callable[[list[tuple[bytes, bytes]]], bytes]


def evaluate(text: str, find: Find, encode: Encode) -> bytes | None:
    """Return what a text comes to as a property; None if a path in it is missing."""
    condition, rest = _cut(text, "?")
    if rest is not None:
        then, otherwise = _cut(rest, ":")
        assert otherwise is not None, text
        return evaluate(then if _holds(condition, find) else otherwise, find, encode)
    if text.startswith('"'):
        return text.strip('"').encode()
    if not text.startswith("["):
        return find(_path(text))
    values = []
    items: str | None = text[1:-1]
    while items is not None:
        item, items = _cut(items, ",")
        value = evaluate(item, find, encode)
        if value is None:
            return None
        values.append((value, b""))
    return encode(values)


def _holds(condition: str, find: Find) -> bool:
    if condition.startswith("has("):
        return find(_path(condition[len("has(") : -1])) is not None
    key, separator, mapping = condition.partition(" in ")
    assert separator, condition
    return find(_path(f"{mapping}[{key}]")) is not None


def _path(text: str) -> str:
    """Write `a.b["c"]` as `a.b.c`."""
    return text.replace('["', ".").replace('"]', "")


def _cut(text: str, separator: str) -> tuple[str, str | None]:
    """Cut at the first separator that is in no brackets and no quotes."""
    depth, is_quoted = 0, False
    for at, character in enumerate(text):
        if character == '"':
            is_quoted = not is_quoted
        elif is_quoted:
            continue
        elif character in "[(":
            depth += 1
        elif character in "])":
            depth -= 1
        elif character == separator and depth == 0:
            return text[:at], text[at + 1 :]
    return text, None
