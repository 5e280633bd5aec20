# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where secrets are: in members of certain names, in the arguments of certain commands, in URLs and file names.

Secrets are found by their position, whatever they look like, and also if its name is misspelt or its type is wrong.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any, Callable, Pattern
from urllib.parse import unquote

HIDDEN = "********"

_NAMES = ("password", "passphrase", "passwd", "secret", "cookie")
"""Names of members that hold a secret. Those such as password-secret and key-secret hold the id of a secret object instead."""
_PARTS = (*_NAMES, "credential", "apikey", "accesskey", "token")
_SHORT = frozenset(("pass", "pwd", "psk"))
_SECRET_PROPERTIES = ("data", "rawdata")
_URL_STARTS = ("?", "&", ":")
_IN_URLS = frozenset(("key", "sig", "signature", "auth", "xamzsignature"))

SHOWN = frozenset(
    (
        "addr",
        "aio",
        "backend",
        "bus",
        "ca_file",
        "cache",
        "cert_file",
        "chardev",
        "cookie-secret",
        "core-id",
        "cpu-index",
        "detect-zeroes",
        "device",
        "die-id",
        "dir",
        "direct",
        "discard",
        "driver",
        "endpoint",
        "execute",
        "export",
        "file",
        "filename",
        "format",
        "host",
        "id",
        "ifname",
        "image",
        "iothread",
        "job-id",
        "key-secret",
        "key_file",
        "keyid",
        "limits",
        "mac",
        "name",
        "netdev",
        "no-flush",
        "no_flush",
        "node-name",
        "node_name",
        "password-secret",
        "path",
        "pool",
        "port",
        "property",
        "protocol",
        "proxy-password-secret",
        "qom-path",
        "qom-type",
        "qom_type",
        "queues",
        "read-only",
        "serial",
        "server",
        "server-name",
        "server_name",
        "size",
        "slot",
        "socket-id",
        "speed",
        "sync",
        "target",
        "thread-id",
        "type",
        "uri",
        "url",
        "user",
        "username",
        "vhost",
        "wait",
    )
)
"""Members of free-form options that are shown although the kind of the options is unknown."""

RUNNING_TEXT = frozenset(("msg", "desc", "error", "reason", "exception"))
_COMMAND = re.compile(r"[\w.-]{1,128}")
_Hides = Callable[[str], bool]


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether a member of this *name* holds a secret itself; also where the name is misspelt."""
    lower = name.lower().replace("_", "-")
    if name in SHOWN or lower.endswith(("-secret", ".secret", "passwordid")):
        return False
    letters = _letters(lower)
    return letters in _SHORT or any(part in letters for part in _PARTS) or _is_like(letters, _NAMES)


def is_secret_property(name: object) -> bool:
    """Whether a property of an object holds a secret, such as the ``data`` of a secret object."""
    return not isinstance(name, str) or is_secret_name(name) or _is_like(_letters(name.lower()), _SECRET_PROPERTIES)


def _letters(name: str) -> str:
    return re.sub("[^a-z]", "", name)


@functools.lru_cache(maxsize=64)
def _shorter(word: str) -> frozenset[str]:
    """*word*, and *word* without any one of its letters."""
    return frozenset((word, *(word[:place] + word[place + 1 :] for place in range(len(word)))))


def _is_like(letters: str, words: tuple[str, ...]) -> bool:
    """Whether *letters* is one of *words*, exactly or with one letter added, missing, changed, or moved by one."""
    if any(letters == word for word in words):
        return True
    near = [word for word in words if abs(len(word) - len(letters)) < 2]
    if not near:
        return False
    shorter = {letters[:place] + letters[place + 1 :] for place in range(len(letters))} | {letters}
    return any(shorter & _shorter(word) for word in near)


_COMMANDS: dict[str, frozenset[str]] = {
    "setpassword": frozenset(("protocol", "connected", "display", "id")),
    "changevncpassword": frozenset(),
    "blockpasswd": frozenset(("device", "node-name")),
    "sevinjectlaunchsecret": frozenset(("gpa",)),
}
"""The commands that carry a secret, and those of their arguments that are shown."""
_SECRET_OBJECT = frozenset(("qom-type", "qom_type", "id", "format", "keyid", "iv", "loaded", "file", "props"))


@functools.lru_cache(maxsize=1024)
def _kind_of(command: str) -> str:
    """The command that can carry a secret, of which this is the name or a misspelling; "" for any other."""
    letters = _letters(command.lower())
    for known in (*_COMMANDS, "objectadd", "qomset", "humanmonitorcommand"):
        if _is_like(letters, (known,)):
            return known
    return ""


class Redactor:
    """Makes copies without secrets. ``found``: the secrets that it omitted, as text.

    *strict*: of free-form options, show only members that are known to be harmless. This is for the options of a task, which are
    not checked yet; arguments for QEMU were checked, and are shown except for the secrets.
    """

    def __init__(self, strict: bool = False) -> None:
        self._strict = strict
        self.found: set[str] = set()

    def request(self, message: Any) -> Any:
        """A command as ``{"execute": …, "arguments": {…}}``; it may be misspelt or of wrong types."""
        if not isinstance(message, dict):
            return self.hide(message)
        known = ("execute", "arguments", "id", "exec-oob")
        shown = {key: self.hide(value) for key, value in message.items() if key not in known}
        command, arguments = message.get("execute"), message.get("arguments")
        for key in known:
            if key not in message:
                continue
            if key == "arguments":
                shown[key] = self._arguments(command, arguments)
            else:
                plain = not isinstance(message[key], str) or _COMMAND.fullmatch(message[key])
                shown[key] = message[key] if plain and not isinstance(message[key], (dict, list)) else self.hide(message[key])
        return {key: shown[key] for key in message}

    def _arguments(self, command: Any, arguments: Any) -> Any:
        if arguments is None or arguments == {}:
            return arguments
        if not isinstance(arguments, dict) or not isinstance(command, str):
            return self.hide(arguments)
        kind = _kind_of(command)
        if kind in _COMMANDS:
            return self._walk(arguments, lambda name: name not in _COMMANDS[kind])
        if kind == "objectadd":
            return self.object(arguments)
        if kind == "qomset" and is_secret_property(arguments.get("property")):
            return self._walk(arguments, lambda name: name == "value" or is_secret_name(name))
        if kind == "qomset" and self._strict:
            return {**self.value(arguments), "value": self._walk({"id": arguments.get("value")}, is_secret_name)["id"]}
        if kind == "humanmonitorcommand" and not str(arguments.get("command-line")).startswith("info "):
            self.found.update(str(arguments.get("command-line")).split()[1:])  # QEMU repeats words of it
            return self._walk(arguments, lambda name: name != "cpu-index")
        return self.value(arguments)

    def object(self, arguments: dict[str, Any]) -> Any:
        """The arguments of ``object-add``, which may have properties in ``props``."""
        given = arguments.get("qom-type", arguments.get("qom_type"))
        if given is None:
            return self._walk(arguments, is_secret_property)
        if isinstance(given, str) and not _is_like(_letters(given.lower())[:6], ("secret",)):
            return self.value(arguments)
        return self._walk(arguments, lambda name: name not in _SECRET_OBJECT)

    def value(self, value: Any) -> Any:
        """Any data of JSON types."""
        return self._walk(value, is_secret_name)

    def hide(self, value: Any) -> Any:
        """The replacement for a *value* that is a secret, or contains some. None and empty values are shown."""
        self.found.update(_leaves(value))
        return value if value is None or value in ({}, []) else HIDDEN

    def _walk(self, value: Any, hides: _Hides) -> Any:
        """A copy of *value*, made without recursion, because a message may nest deeper than Python's stack has room."""
        whole: list[Any] = [value]
        pending: list[tuple[Any, bool]] = [(whole, True)]
        while pending:
            copy, shown = pending.pop()
            for key, member in list(copy.items() if isinstance(copy, dict) else enumerate(copy)):
                if isinstance(copy, dict):
                    if hides(str(key)):
                        copy[key] = self.hide(member)
                        continue
                    shown = key in SHOWN
                if isinstance(member, (dict, list)):
                    copy[key] = member.copy()
                    pending.append((copy[key], shown))
                elif isinstance(member, str):
                    within = isinstance(copy, dict) and key in RUNNING_TEXT
                    copy[key] = self.text(member, within) if shown or not self._strict else self._unknown(member)
                elif self._strict and not shown and member is not None:
                    copy[key] = HIDDEN
        return whole[0]

    def _unknown(self, text: str) -> str:
        self.text(text)  # collects the secrets in it
        return HIDDEN

    def text(self, text: str, within: bool = False) -> str:
        """A file name, a URL, or options in QEMU's syntax. *within*: a text that contains such."""
        if within:
            return self._plain(_MEMBER.sub(self._hide_member, text), True)
        if text.startswith("json:"):
            return self._json(text, "json:")
        if text.startswith("{"):
            return self._json(text, "")
        return self._plain(text, False)

    def _json(self, text: str, prefix: str) -> str:
        try:
            value = json.loads(text[len(prefix) :])
            shown = self.value(value)
            return text if shown == value else prefix + json.dumps(shown, ensure_ascii=False)
        except (ValueError, RecursionError):
            if any(is_secret_name(name) for name in re.findall(r"\w[\w.-]*", text)):
                return prefix + str(self.hide(text[len(prefix) :]))
            return self._plain(text, False)

    def _plain(self, text: str, within: bool) -> str:
        if "://" in text:
            text = (_URL_WITHIN if within else _URL).sub(self._hide_user, text)
        if "=" not in text:
            return text
        if text.startswith("rbd:"):
            return _RBD.sub(self._hide_value, text)
        return (_ASSIGNED_WITHIN if within else _ASSIGNED).sub(self._hide_value, text)

    def _hide_user(self, match: re.Match[str]) -> str:
        start, password = match.groups()
        if re.match(r"[0-9]{1,5}/", password):  # a port, and an @ further on
            return match.group()
        self.found.update({password, unquote(password)} - {"", HIDDEN})
        return f"{start}{HIDDEN}@"

    def _hide_value(self, match: re.Match[str]) -> str:
        start, name, value = match.groups()
        if not value or not (is_secret_name(name) or (start in _URL_STARTS and _letters(name.lower()) in _IN_URLS)):
            return match.group()
        self.found.update({value, unquote(value), value.replace(",,", ",")} - {"", HIDDEN})
        return f"{start}{name}={HIDDEN}"

    def _hide_member(self, match: re.Match[str]) -> str:
        start, _quote, name, quote, value = match.groups()
        if not value or not is_secret_name(name):
            return match.group()
        self.found.add(value)
        return f"{start}{quote}{HIDDEN}{quote}"


def _pattern(text: str) -> Pattern[str]:
    return re.compile(text, re.DOTALL)


# user:password@ of a URL, and user%password@ as libiscsi has it; a password may have any character in it
_URL = _pattern(r"([A-Za-z][A-Za-z0-9+.-]*://[^:@/%]*[:%])(.*)@")
_URL_WITHIN = _pattern(r"([A-Za-z][A-Za-z0-9+.-]*://[^:@/%\s]*[:%])([^\s\"'<>]*)@")
_ASSIGNED = _pattern(r"(^|[?&;,\s])([A-Za-z][\w.-]*)=((?:,,|[^&;,])*)")
_ASSIGNED_WITHIN = _pattern(r"(^|[?&;,\s\"'])([A-Za-z][\w.-]*)=((?:,,|[^&;,\s\"'])*)")
_MEMBER = _pattern(r"((['\"])([\w.-]+)\2\s*:\s*)(['\"])((?:\\.|(?!\4).)*)\4")
_RBD = _pattern(r"(:)([A-Za-z][\w.-]*)=((?:\\.|[^:])*)")


def _leaves(value: Any) -> set[str]:
    """The texts and numbers in *value*, as text, without the booleans, which reveal nothing."""
    found: set[str] = set()
    pending = [value]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            pending += [*one.values(), *(key for key in one if len(str(key)) > 3)]
        elif isinstance(one, (list, tuple)):
            pending += one
        elif one is not None and not isinstance(one, bool):
            found.add(str(one))
    return found - {"", HIDDEN}
