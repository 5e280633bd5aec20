# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX is given: the pattern, its workflow as code, its credential type, and an execution environment."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ansible_collections.vmops.qemu.tests.support.awx import AWX, modules
from ansible_collections.vmops.qemu.tests.support.guide import blocks
from ansible_collections.vmops.qemu.tests.support.pattern import DEFINITION, PATTERN, RESOURCES, TEMPLATES
from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks
from ansible_collections.vmops.qemu.tests.vm.machine import VM

pytestmark = pytest.mark.newest_core
GUIDE = Path(__file__).parents[2] / "docs/awx.md"
LINKS = ("success_nodes", "failure_nodes", "always_nodes")


def set_up(awx: AWX, directory: Path) -> None:
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join([str(modules()), os.environ["ANSIBLE_COLLECTIONS_PATH"]]),
        "ANSIBLE_NOCOLOR": "1",
        "CONTROLLER_HOST": awx.address,
        "CONTROLLER_OAUTH_TOKEN": "token",
    }
    command = ["ansible-playbook", "-i", "localhost,", str(PATTERN / "setup.yml")]
    played = subprocess.run(command, cwd=directory, env=environment, text=True, capture_output=True, check=False)
    assert played.returncode == 0, played.stdout + played.stderr


def test_the_workflow_previews_waits_for_an_approval_and_applies(tmp_path: Path) -> None:
    with AWX() as awx:
        awx.add("organizations", name="Default")
        inventory = awx.add("inventories", name="QEMU VMs")
        awx.add("credentials", name="Hypervisors")
        set_up(awx, tmp_path)

    for template in TEMPLATES.values():
        one = awx.named("job_templates", template["name"])
        assert one["playbook"] == f"extensions/patterns/hotplug_vm/playbooks/{template['playbook']}"
        assert one["inventory"] == inventory["id"] and awx.surveys[one["name"]] == template["survey"]
    preview = awx.named("job_templates", "QEMU: preview")
    assert (preview["job_type"], preview["diff_mode"]) == ("check", True)
    (workflow,) = awx.objects["workflow_job_templates"]
    assert awx.surveys[workflow["name"]] == TEMPLATES["apply"]["survey"]
    nodes = {one["identifier"]: one for one in awx.objects["workflow_job_template_nodes"]}
    names = {one["id"]: one["name"] for key in ("job_templates", "workflow_approval_templates") for one in awx.objects[key]}
    ids = {one["id"]: name for name, one in nodes.items()}
    graph = {
        name: (names[one["unified_job_template"]], [ids[to] for link in LINKS for to in awx.linked(one, link)])
        for name, one in nodes.items()
    }
    assert graph == {
        "preview": ("QEMU: preview", ["approve"]),
        "approve": ("Make the change", ["apply"]),
        "apply": ("QEMU: apply", ["approve-recover"]),
        "approve-recover": ("Complete the change", ["recover"]),
        "recover": ("QEMU: recover", []),
    }
    assert awx.linked(nodes["apply"], "failure_nodes") and not awx.linked(nodes["apply"], "success_nodes")


def test_the_pattern_is_as_the_specification_demands() -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(DEFINITION)
    assert DEFINITION["name"] == PATTERN.name and (PATTERN / "README.md").exists()
    assert {path.name for path in (PATTERN / "playbooks").glob("*.yml") if ".meta." not in path.name} == {
        template["playbook"] for template in TEMPLATES.values()
    }
    assert [name for name, template in TEMPLATES.items() if template["primary"]] == ["apply"]
    for template in TEMPLATES.values():
        assert set(template["labels"]) <= set(RESOURCES["controller_labels"])
        assert template["execution_environment"] == RESOURCES["controller_execution_environment"]["name"]
        for question in template["survey"]["spec"]:
            assert question["type"] != "multiplechoice" or question["default"] in question["choices"]


def text(longest: int = 1000, pattern: str = "") -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": pattern}


def fields(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": {**required, **optional}, "additionalProperties": False}


def every(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}


BOOLEAN = {"type": "boolean"}
NAME = text(64, "^[a-z0-9_]+$")
QUESTION = fields(
    {
        "type": {"enum": ["text", "textarea", "password", "integer", "float", "multiplechoice", "multiselect"]},
        "question_name": text(),
        "question_description": text(pattern="^(Enter|Choose) "),
        "variable": NAME,
        "required": BOOLEAN,
    },
    choices=every(text()),
    default=text(),
    min={"type": "integer"},
    max={"type": "integer"},
)
JOB_TEMPLATE = fields(
    {"name": text(200), "description": text(), "playbook": text(pattern=r"^[a-z]+\.yml$")},
    execution_environment=text(200),
    primary=BOOLEAN,
    labels=every(text()),
    job_type={"enum": ["run", "check"]},
    diff_mode=BOOLEAN,
    survey_enabled=BOOLEAN,
    survey=fields({"name": text(), "description": text(), "spec": every(QUESTION)}),
    **{f"ask_{name}_on_launch": BOOLEAN for name in ("credential", "inventory", "verbosity", "job_type", "diff_mode")},
)
SCHEMA = fields(
    {
        "schema_version": {"const": "1.0"},
        "name": NAME,
        "title": text(64, "^(Add|Change|Create|Manage|Remove) "),
        "description": text(),
        "short_description": text(pattern="[^.]$"),
        "aap_resources": fields(
            {
                "controller_project": fields({"name": text(200), "description": text()}),
                "controller_job_templates": every(JOB_TEMPLATE),
            },
            controller_execution_environment=fields(
                {"name": text(200), "description": text(), "image_name": text(pattern="^[a-z0-9_-]+/[a-z0-9_-]+$")},
                pull={"enum": ["always", "missing", "never"]},
            ),
            controller_labels=every(text()),
        ),
    },
    tags=every(text()),
)
"""The pattern specification 1.0.0, with the further fields of AWX's job templates and surveys that this pattern uses."""


def test_ansible_builder_takes_the_execution_environment_of_the_guide(tmp_path: Path) -> None:
    (text,) = [block.text for block in blocks(GUIDE.read_text("utf-8")) if "images:" in block.text]
    (tmp_path / "execution-environment.yml").write_text(text)
    run = partial(subprocess.run, cwd=tmp_path, text=True, check=True, capture_output=True)
    run(["ansible-builder", "create"])
    galaxy = yaml.safe_load((tmp_path / "context/_build/requirements.yml").read_text())
    assert galaxy == {"collections": [{"name": "vmops.qemu"}]}
    found = run(["ansible-builder", "introspect", "--sanitize", os.environ["ANSIBLE_COLLECTIONS_PATH"]]).stdout
    needed = yaml.safe_load(found)
    assert set(needed) == {"python", "system"}
    assert not any(needed.values()), needed  # neither Python packages nor packages of the system


def test_the_inventory_of_the_guide_reaches_the_vms_of_two_hypervisors(tmp_path: Path, playbooks: Playbooks) -> None:
    (inventory,) = [block.text for block in blocks(GUIDE.read_text("utf-8")) if "on_hypervisor1:" in block.text]
    (tmp_path / "vms.yml").write_text(inventory.replace("/run/", f"{tmp_path}/"))
    local = (*("-i", "vms.yml"), *("-e", "ansible_connection=local"), *("-e", f"ansible_python_interpreter={sys.executable}"))
    with VM(tmp_path / "web1", boot=False) as web1, VM(tmp_path / "db1", boot=False) as db1:
        hardware = {"hotplug_hosts": "web1,db1", "hotplug_cpus": "2"}
        played = playbooks.run("vmops.qemu.hotplug", *local, **hardware)
        assert played.output.count("vCPUs 1 to 2") == 2 and "hypervisor " not in played.output, played.output
        assert [len(vm.query("query-cpus-fast")) for vm in (web1, db1)] == [2, 2]
        looked = playbooks.run(str(PATTERN / "playbooks/look.yml"), *local, vm_hosts="web1,db1")
        assert looked.output.count("Has 2 vCPUs") == 2 and looked.recap["failed"] == 0, looked.output
