"""GitHub's expression language, as much of it as workflows use: ``${{ … }}`` and ``if:``.

After GitHub's reference "Evaluate expressions in workflows and actions". What is not known here is
an error: a workflow that a test cannot read must not look as if it had been run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<op>\|\||&&|==|!=|<=|>=|[()\[\],.!<>*])|(?P<name>[A-Za-z_][A-Za-z0-9_-]*))"
)
HOLE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
#: from weak to strong
LEVELS: tuple[tuple[str, ...], ...] = (
    ("||",),
    ("&&",),
    ("==", "!="),
    ("<", "<=", ">", ">="),
)
Function = Callable[..., Any]


class BadExpression(ValueError):
    """Not an expression of GitHub's, or one that is not known here."""


class Missing(dict[str, Any]):
    """What a context gives for a name it does not have: empty, however deep one looks."""


def truthy(value: Any) -> bool:
    """Whether GitHub takes a value for true: not false, 0, the empty string or null."""
    return not (value is None or value is False or value == "" or value == 0)


def text(value: Any) -> str:
    """A value as it lands in a string."""
    if value is None or isinstance(value, Missing):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)


def evaluate(source: str, contexts: Mapping[str, Any], functions: Mapping[str, Function]) -> Any:
    """The value of one expression; raises BadExpression."""
    reader = _Reader(source, contexts, {**FUNCTIONS, **functions})
    value = reader.level(0)
    reader.end()
    return value


def fill(source: Any, contexts: Mapping[str, Any], functions: Mapping[str, Function]) -> Any:
    """A YAML value with its ``${{ }}`` filled in; a hole that is the whole keeps its type."""
    if isinstance(source, dict):
        return {key: fill(value, contexts, functions) for key, value in source.items()}
    if isinstance(source, list):
        return [fill(value, contexts, functions) for value in source]
    if not isinstance(source, str):
        return source
    whole = HOLE.fullmatch(source.strip())
    if whole and source.count("${{") == 1:
        return evaluate(whole[1], contexts, functions)
    return HOLE.sub(lambda hole: text(evaluate(hole[1], contexts, functions)), source)


class _Reader:
    """Reads tokens from left to right and evaluates on the way."""

    def __init__(
        self, source: str, contexts: Mapping[str, Any], functions: Mapping[str, Function]
    ) -> None:
        self._source = source
        self._contexts = contexts
        self._functions = functions
        self._tokens = self._cut(source)
        self._at = 0

    def _cut(self, source: str) -> list[tuple[str, str]]:
        found, at = [], 0
        while source[at:].strip():
            token = TOKEN.match(source, at)
            if not token:
                raise BadExpression(f"{source!r}: {source[at:]!r} is not understood")
            found.append((str(token.lastgroup), token[str(token.lastgroup)]))
            at = token.end()
        return found

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _take(self, wanted: str = "") -> tuple[str, str]:
        kind, word = self._peek()
        if wanted and word != wanted:
            raise BadExpression(f"{self._source!r}: {wanted!r} expected, not {word!r}")
        self._at += 1
        return kind, word

    def end(self) -> None:
        if self._peek()[0] != "end":
            raise BadExpression(f"{self._source!r}: {self._peek()[1]!r} is left over")

    def level(self, depth: int) -> Any:
        if depth == len(LEVELS):
            return self._unary()
        left = self.level(depth + 1)
        while self._peek()[0] == "op" and self._peek()[1] in LEVELS[depth]:
            operator = self._take()[1]
            left = _combine(operator, left, self.level(depth + 1))
        return left

    def _unary(self) -> Any:
        if self._peek() == ("op", "!"):
            self._take()
            return not truthy(self._unary())
        return self._postfix(self._primary())

    def _primary(self) -> Any:
        kind, word = self._take()
        if kind == "string":
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return float(word)
        if word == "(":
            value = self.level(0)
            self._take(")")
            return value
        if kind != "name":
            raise BadExpression(f"{self._source!r}: {word or 'the end'!r} is out of place")
        if word in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[word]
        if self._peek() == ("op", "("):
            return self._call(word)
        if word not in self._contexts:
            raise BadExpression(f"{self._source!r}: there is no context {word!r}")
        return self._contexts[word]

    def _call(self, name: str) -> Any:
        if name not in self._functions:
            raise BadExpression(f"{self._source!r}: the function {name!r} is not known here")
        self._take("(")
        given = []
        while self._peek() != ("op", ")"):
            given.append(self.level(0))
            if self._peek() == ("op", ","):
                self._take()
        self._take(")")
        return self._functions[name](*given)

    def _postfix(self, value: Any) -> Any:
        while self._peek() in (("op", "."), ("op", "[")):
            if self._take()[1] == "[":
                value = _get(value, text(self.level(0)))
                self._take("]")
                continue
            kind, word = self._take()
            if word == "*":
                value = list(value.values()) if isinstance(value, Mapping) else list(value)
            elif kind == "name" and isinstance(value, list):
                value = [_get(one, word) for one in value]
            elif kind == "name":
                value = _get(value, word)
            else:
                raise BadExpression(f"{self._source!r}: {word!r} is no property")
        return value


def _get(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, None)
    return None


def _combine(operator: str, left: Any, right: Any) -> Any:
    if operator == "||":
        return left if truthy(left) else right
    if operator == "&&":
        return right if truthy(left) else left
    if operator in ("==", "!="):
        return _same(left, right) == (operator == "==")
    one, two = _number(left), _number(right)
    return {"<": one < two, "<=": one <= two, ">": one > two, ">=": one >= two}[operator]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.casefold() == right.casefold()
    if type(left) is type(right) or isinstance(left, (dict, list)):
        return bool(left == right)
    return _number(left) == _number(right)


def _number(value: Any) -> float:
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, Sequence) and not isinstance(where, str):
        return any(_same(one, what) for one in where)
    return text(what).casefold() in text(where).casefold()


def _format(pattern: str, *values: Any) -> str:
    return re.sub(r"\{(\d+)\}", lambda found: text(values[int(found[1])]), pattern)


def _join(values: Any, by: str = ",") -> str:
    return by.join(text(one) for one in values) if isinstance(values, list) else text(values)


FUNCTIONS: Mapping[str, Function] = {
    "contains": _contains,
    "startsWith": lambda a, b: text(a).casefold().startswith(text(b).casefold()),
    "endsWith": lambda a, b: text(a).casefold().endswith(text(b).casefold()),
    "format": _format,
    "join": _join,
    "toJSON": lambda value: json.dumps(value, indent=2),
    "fromJSON": lambda value: json.loads(text(value)),
}
