#!/usr/bin/env bash
# Prints the Debian packages that the end-to-end tests need and this machine lacks. See tests/e2e/.
set -euo pipefail

grep -qs '^ID=debian' /etc/os-release || exit 0 # the guest's kernel is Debian's; elsewhere those tests skip themselves

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); } # need PROGRAM PACKAGE
PATH=$PATH:/usr/sbin:/sbin
need qemu-system-x86_64 qemu-system-x86
need busybox busybox-static
need modprobe kmod
need cpio cpio
need xz xz-utils
need make make
need gcc gcc # the distribution's own version, which built its kernel too
need v4l2-ctl v4l-utils
need ffmpeg ffmpeg
printf '%s\n' "${missing[@]}"
