# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules of awx.awx, and an API of AWX that they can talk to: it keeps objects and their links, and runs nothing."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

CACHE = Path(__file__).parents[2] / ".cache" / "awx"
PACKAGE = "ansible==11.*"
"""A package for pip that contains the collection awx.awx."""
API = "/api/v2/"

Object = dict[str, Any]


def modules() -> Path:
    """A directory for ANSIBLE_COLLECTIONS_PATH that has awx.awx. It is downloaded once, with pip."""
    if not (CACHE / "ansible_collections/awx/awx").exists():
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(
                [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--dest", directory, PACKAGE], check=True
            )
            (wheel,) = Path(directory).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(
                    CACHE, [name for name in archive.namelist() if name.startswith("ansible_collections/awx/awx/")]
                )
    return CACHE


class AWX:
    """The API, at ``address``. ``objects`` are those that the modules have created, by endpoint; ``links`` has ids by path."""

    def __init__(self) -> None:
        self.objects: dict[str, list[Object]] = {}
        self.links: dict[str, list[int]] = {}
        self.surveys: dict[str, Object] = {}
        self.changes: list[str] = []
        self._ids = itertools.count(1)
        api = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                data = json.loads(self.rfile.read(length) or b"{}")
                status, answer = api.request(self.command, self.path, data)
                body = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = answer

            def log_message(self, format: str, *_words: Any) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> AWX:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(self, endpoint: str, **fields: Any) -> Object:
        number = next(self._ids)
        url = f"{API}{endpoint}/{number}/"
        of_awx = {"related": {"survey_spec": f"{url}survey_spec/"}, "summary_fields": {}, "scm_revision": ""}
        one = {"id": number, "type": endpoint.rstrip("s"), "url": url, **of_awx, **fields}
        self.objects.setdefault(endpoint, []).append(one)
        return one

    def named(self, endpoint: str, name: str) -> Object:
        return next(one for one in self.objects[endpoint] if name in (one.get("name"), one.get("identifier")))

    def linked(self, one: Object, link: str) -> list[int]:
        """The ids of the objects that belong to an object."""
        return self.links.get(f"{one['url']}{link}/", [])

    def request(self, method: str, path: str, data: Object) -> tuple[int, Any]:
        """Status and answer."""
        if method != "GET":
            self.changes.append(f"{method} {path}")
        url = urlsplit(path)
        endpoint, *rest = url.path.removeprefix(API).strip("/").split("/")
        if not rest:
            if method == "POST":
                return 201, self.add(endpoint, **data)
            return 200, _listing(self._found(endpoint, dict(parse_qsl(url.query))))
        one = next(one for one in self.objects[endpoint] if one["id"] == int(rest[0]))
        if rest[1:] == ["survey_spec"]:
            if method == "POST":
                self.surveys[one["name"]] = data
            return 200, self.surveys.get(one["name"], {})
        if rest[1:] == ["create_approval_template"]:
            approval = self.add("workflow_approval_templates", **data)
            one.update(unified_job_template=approval["id"], related={"unified_job_template": approval["url"]})
            return 201, approval
        if rest[1:]:
            ids = self.links.setdefault(url.path, [])
            if method == "POST":
                ids.remove(data["id"]) if data.get("disassociate") else ids.append(data["id"])
                return 204, None
            return 200, _listing([{"id": number} for number in ids])
        if method == "PATCH":
            one.update(data)
        return 200, one

    def _found(self, endpoint: str, query: dict[str, str]) -> list[Object]:
        endpoints = ["job_templates", "workflow_job_templates"] if endpoint == "unified_job_templates" else [endpoint]
        every = [one for name in endpoints for one in self.objects.get(name, [])]
        return [one for one in every if all(str(one.get(name)) == value for name, value in query.items())]


def _listing(found: list[Object]) -> Object:
    return {"count": len(found), "next": None, "results": found}
