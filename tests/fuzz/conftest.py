# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the property-based tests, and a real QEMU as the source of true answers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, configuration, settings

from ansible_collections.vmops.qemu.plugins.module_utils.qmp import UnixAddress
from ansible_collections.vmops.qemu.tests.vm.machine import VM

from .truth import Truth

configuration.set_hypothesis_home_dir(Path(__file__).parents[2] / ".cache/hypothesis")
settings.register_profile(
    "hostile",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
settings.load_profile("hostile")


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Truth]:
    disk = (
        "-blockdev",
        "null-co,node-name=base,size=1048576",
        "-blockdev",
        "raw,node-name=d1,file=base",
        "-device",
        "virtio-blk-pci,id=d1,drive=d1,bus=rp0,serial=one",
        "-device",
        "scsi-hd,id=d2,drive=d2,bus=scsi0.0",
        "-blockdev",
        "raw,node-name=d2,file.driver=null-co,file.size=1048576",
    )
    nic = ("-netdev", "user,id=n1", "-device", "virtio-net-pci,id=n1,netdev=n1,bus=rp1", "-netdev", "hubport,id=h1,hubid=1")
    more = (
        "-object",
        "iothread,id=io1",
        "-object",
        "secret,id=s1,data=x",
        "-chardev",
        "null,id=c1",
        "-device",
        "virtio-rng-pci,id=rng1,bus=rp2",
        "-blockdev",
        "null-co,node-name=m1,read-only=on",
        "-device",
        "scsi-cd,id=cd1,drive=m1,bus=scsi0.0",
        "-device",
        "virtio-serial-pci,id=vs1,bus=rp4",
        "-blockdev",
        "null-co,node-name=t1,size=1048576",
        "-blockdev",
        "null-co,node-name=t2,size=1048576",
    )
    with VM(tmp_path_factory.mktemp("vm"), boot=False, ports=5, extra=(*disk, *nic, *more)) as vm:
        vm.query("blockdev-mirror", job_id="j1", device="d1", target="t1", sync="full", auto_dismiss=False)
        truth = Truth(UnixAddress(str(vm.qmp_socket)))
        yield truth
        truth.close()
