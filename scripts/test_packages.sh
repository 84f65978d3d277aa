#!/usr/bin/env bash
# Prints the Debian packages that the end-to-end tests need and this machine lacks. See tests/e2e/.
set -euo pipefail

grep -qs '^ID=debian' /etc/os-release || exit 0 # the guest's kernel is Debian's; elsewhere those tests skip themselves

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); } # need PROGRAM PACKAGE
need_all() { # need_all PACKAGE...: those without a program of their own
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
}
PATH=$PATH:/usr/sbin:/sbin
# a kernel with a virtual camera
need qemu-system-x86_64 qemu-system-x86
need busybox busybox-static
need modprobe kmod
need cpio cpio
need xz xz-utils
need make make
need gcc gcc # the distribution's own version, which built its kernel too
need v4l2-ctl v4l-utils
need ffmpeg ffmpeg
# what a process asks its kernel for
need strace strace
# a desktop with PipeWire, and the browser on it
need pipewire pipewire
need wireplumber wireplumber
need dbus-run-session dbus
need dbus-send dbus-bin
need gst-launch-1.0 gstreamer1.0-tools
need Xvfb xvfb
need chromium chromium
need_all gstreamer1.0-pipewire xdg-desktop-portal xdg-desktop-portal-gtk
# other programs that speak WebRTC
need_all gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-nice gstreamer1.0-libav
need_all gstreamer1.0-plugins-base python3-gi gir1.2-gstreamer-1.0 gir1.2-gst-plugins-bad-1.0
if [ -n "${CI:-}" ]; then # servers, which start by themselves: not on somebody's desk
    need janus janus
    need turnserver coturn
fi
printf '%s\n' "${missing[@]}"
