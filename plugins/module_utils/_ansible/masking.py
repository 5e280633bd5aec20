# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which parts of a task's options, and of a module's result, are shown.

Ansible replaces the value of a secret wherever it occurs in the output of a module. If the secret is a common word, this garbles
the rest of the output. If the secret is escaped, or is in an option whose name is misspelt, this shows it. Here a secret is
hidden where it stands, and searched for in running text only.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any, Callable, Iterator, Mapping
from urllib.parse import quote

from ansible.module_utils.common.validation import check_type_dict, check_type_list

from ..qmp.secrets import HIDDEN, RUNNING_TEXT, Redactor

SecretPlaces = Callable[[Mapping[str, Any], Redactor], Mapping[str, Any]]
"""Returns, from the options as they were written, those that have secrets in places of their own, without the secrets."""

_PROMISED = frozenset(
    (
        "id",
        "execute",
        "command",
        "status",
        "state",
        "error_code",
        "changed",
        "failed",
        "qmp_class",
        "unverified",
        "qom-type",
        "qom_type",
        "driver",
        "node-name",
    )
)
"""Members of a result that cannot contain a secret. They are not searched, so that a common word remains readable in them."""
_LONG, _SOME = 8, 4
"""The minimum length of a secret that is replaced inside of words, and of one that is replaced where it is a whole word."""


def no_secret_places(params: Mapping[str, Any], redactor: Redactor) -> Mapping[str, Any]:
    """For a module whose secrets are only in options with no_log, and in members with the name of a secret."""
    return {}


def as_dict(value: Any) -> Any:
    """A dict that is written as text, as Ansible accepts it; any other value unchanged."""
    try:
        return check_type_dict(value) if isinstance(value, str) else value
    except (TypeError, ValueError, RecursionError):
        return value


def as_list(value: Any) -> Any:
    """A list that is written as text, as Ansible accepts it, or as JSON; any other value unchanged."""
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return check_type_list(value)
    return parsed if isinstance(parsed, list) else [parsed]


class Masking:
    """Masks the secrets that are found in the options of a task.

    ``options``: the options without secrets, whether or not they are valid.
    """

    def __init__(
        self, params: Mapping[str, Any], spec: Mapping[str, Any], aliases: Mapping[str, str], secret_places: SecretPlaces
    ) -> None:
        redactor = Redactor(strict=True)
        self.options = {**shown_options(params, spec, redactor, aliases), **secret_places(params, redactor)}
        self._replacements = [*_replacements(redactor.found)]

    def text(self, text: str) -> str:
        """A message without the secrets of the options, also where they are escaped, and without the passwords of URLs."""
        text = Redactor().text(text, within=True)
        for pattern in self._replacements:
            text = pattern.sub(HIDDEN, text)
        return text

    def result(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """A result without the members that are secrets by their names, and without the secrets of the options. Secrets that may
        be ordinary words are replaced in running text only."""
        copy: dict[str, Any] = Redactor().value(dict(result))
        words = [pattern for pattern in self._replacements if not pattern.pattern.startswith("(?")]
        pending: list[Any] = [copy]
        while pending:
            value = pending.pop()
            for key, member in list(value.items() if isinstance(value, dict) else enumerate(value)):
                if isinstance(member, (dict, list)):
                    pending.append(member)
                elif isinstance(member, str) and key not in _PROMISED:
                    patterns = self._replacements if key in RUNNING_TEXT else words
                    for pattern in patterns:
                        member = pattern.sub(HIDDEN, member)
                    value[key] = member
        return copy


def shown_options(
    params: Mapping[str, Any], spec: Mapping[str, Any], redactor: Redactor, aliases: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Options as they may be shown. *spec* has those that there are."""
    names = aliases or {}
    return {name: _option(value, spec.get(names.get(name, name)), redactor) for name, value in params.items()}


def _option(value: Any, spec: Mapping[str, Any] | None, redactor: Redactor) -> Any:
    """An option without secrets. *spec*: its argument spec, None for an option that the module does not have."""
    if value is None:
        return None
    if spec is None or spec.get("no_log"):
        return _hidden(value, redactor)
    kind = spec.get("type", "str")
    if kind in ("dict", "list", "raw"):
        value = {"dict": as_dict, "list": as_list}.get(str(kind), lambda one: one)(value)
        if kind == "list" and spec.get("elements") == "dict" and isinstance(value, list):
            value = [as_dict(one) for one in value]
            own = spec.get("options")
            shown = redactor.value if own is None else lambda one: shown_options(one, own, redactor)
            return [shown(one) if isinstance(one, dict) else redactor.hide(one) for one in value]
        if kind == "dict" and not isinstance(value, dict):
            return _hidden(value, redactor)
        if "options" in spec:
            return shown_options(value, spec["options"], redactor)
        return redactor.value(value)
    if isinstance(value, (dict, list)):
        return _hidden(value, redactor)
    return redactor.text(value) if isinstance(value, str) else value


def _hidden(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, str) and value.startswith(("{", "[")):  # Ansible has converted a value of another type to text
        try:
            redactor.hide(ast.literal_eval(value))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            pass
    redactor.hide(value)
    return HIDDEN if value != "" else value


def _replacements(secrets: set[str]) -> Iterator[re.Pattern[str]]:
    """Patterns that find *secrets* in a text: as they are, and as they are escaped in Python, JSON and URLs."""
    forms: dict[str, bool] = {}
    for secret in secrets:
        whole = len(secret) >= _LONG or (len(secret) >= _SOME and not re.fullmatch(r"\w*", secret))
        safe = secret.encode(errors="replace").decode()
        texts = {
            secret,
            repr(secret)[1:-1],
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(safe),
            quote(safe, safe=""),
            repr(f"'{secret}")[2:-1],
            repr(f"'\"{secret}")[3:-1],
        }
        texts |= {repr(text)[1:-1] for text in texts} | {json.dumps(text)[1:-1] for text in texts}
        texts |= {text.replace("'", "\\'") for text in texts} | {text.replace('"', '\\"') for text in texts}
        for text in texts:
            forms[text] = forms.get(text, False) or whole
    for text in sorted(forms, key=len, reverse=True):
        word = re.escape(text)
        if forms[text]:
            yield re.compile(word)
        elif len(text) >= _SOME:
            yield re.compile(rf"(?<![\w-]){word}(?![\w-])")
        else:
            yield re.compile(rf"(?<=['\"=]){word}(?=['\"]|$)")
