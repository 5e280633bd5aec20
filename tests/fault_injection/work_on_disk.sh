# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
#
# Runs in the guest: write the same data to /dev/vda and read it back, in the background, until /tmp/stop exists.
# /tmp/rounds counts the rounds, /tmp/bad exists if data was read wrong, and /tmp/stopped appears at the end.
dd if=/dev/urandom of=/tmp/data bs=64k count=32 2>/dev/null
sum=$(md5sum < /tmp/data)
(
  n=0
  while [ ! -e /tmp/stop ]; do
    dd if=/tmp/data of=/dev/vda bs=64k oflag=direct 2>/dev/null && sync
    [ "$(dd if=/dev/vda bs=64k count=32 iflag=direct 2>/dev/null | md5sum)" = "$sum" ] || echo bad >> /tmp/bad
    n=$((n + 1))
    echo $n > /tmp/rounds
  done
  touch /tmp/stopped
) >/dev/null 2>&1 &
