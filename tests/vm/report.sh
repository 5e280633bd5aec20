# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
#
# Runs in the guest: print what it sees, one object a line, the fields between bars.
#   disk|name|sectors|read-only|serial|SCSI address
#   nic|name|MAC address|carrier|receive queues
#   cpus|present|online
#   memory|MemTotal in kB
for d in /sys/block/*; do
  [ -e "$d/size" ] || continue
  scsi=$(readlink "$d/device" | sed -n 's|.*/\([0-9]*:[0-9]*:[0-9]*:[0-9]*\)$|\1|p')
  serial=$(cat "$d/serial" "$d/device/serial" 2>/dev/null | head -n1 | tr -d ' ')
  echo "disk|${d##*/}|$(cat "$d/size")|$(cat "$d/ro")|$serial|$scsi"
done
for n in /sys/class/net/*; do
  [ "${n##*/}" = lo ] && continue
  ip link set "${n##*/}" up
  echo "nic|${n##*/}|$(cat "$n/address")|$(cat "$n/carrier")|$(set -- "$n"/queues/rx-*; echo $#)"
done
echo "cpus|$(cat /sys/devices/system/cpu/present)|$(cat /sys/devices/system/cpu/online)"
echo "memory|$(sed -n 's/MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
