#!/bin/bash
# Runs one command on a kernel that has a virtual camera, on a machine whose own kernel has none.
#
#   usage: qemu_v4l2.sh OUT_DIR TIMEOUT_S COMMAND
#
# Debian's stock kernel boots in QEMU by software emulation (no KVM, no disk image) and finds
#   /dev/video10  v4l2loopback with exclusive_caps=1, card "Avatar": the virtual camera that browsers accept
#   /dev/video0   vivid, the kernel's test webcam (colour bars, no face)
# Its root is this machine's root, read-only, under an overlay in memory: the same Python, virtual environment and
# repository at the same paths, and nothing that COMMAND writes survives, except in OUT_DIR, which is /out there.
# There is no network. The exit code is COMMAND's; 125 when the guest never finished.
#
# Debian packages: qemu-system-x86 busybox-static kmod cpio xz-utils make and the kernel's gcc (gcc-12 on Debian 12).
set -euo pipefail

[ $# -eq 3 ] || { sed -n '4p' "$0" >&2; exit 2; }
out=$(readlink -f "$1") limit_s=$2 guest_command=$3
lab=${VISAVIS_LAB:-$HOME/.cache/visavis-lab}/v4l2
mkdir -p "$lab" "$out"
exec 9>"$lab/lock" && flock 9 # one build of the laboratory at a time
started=$SECONDS
say() { printf '[%3ds] %s\n' $((SECONDS - started)) "$*"; }

depends_on() { apt-cache depends --important "$1" | awk '$1 == "Depends:" {print $2}'; }

fetch_kernel() { # unpacked below $lab/root, never installed: no dkms run, no boot files touched
    say "fetching Debian's kernel, its headers and v4l2loopback (about 80 MB, once)"
    local image headers packages
    image=$(depends_on linux-image-amd64 | grep -m1 '^linux-image-')
    headers=${image/linux-image/linux-headers}
    headers=${headers/-unsigned/}
    packages=("$image" "$headers" v4l2loopback-dkms)
    while read -r name; do packages+=("$name"); done < <(depends_on "$headers" | grep -E '^linux-(headers|kbuild)')
    rm -rf "$lab/debs" "$lab/root" && mkdir -p "$lab/debs" "$lab/root"
    (cd "$lab/debs" && apt-get download -qq "${packages[@]}")
    for deb in "$lab"/debs/*.deb; do dpkg-deb -x "$deb" "$lab/root"; done
    [ -e "$lab/root/lib" ] || ln -s usr/lib "$lab/root/lib" # merged-/usr packages of Debian 13
    rm -rf "$lab/debs"
    basename "$(ls -d "$lab"/root/lib/modules/*)" >"$lab/release"
}

build_loopback() {
    say "building v4l2loopback for kernel $release"
    local tree=$lab/root/usr/src/linux-headers-$release gcc
    # the header package points at its common half by an absolute path
    sed -i "s#\([[:space:]]\)/usr/src/#\1$lab/root/usr/src/#" "$tree/Makefile"
    gcc=$(sed -n 's/^CONFIG_CC_VERSION_TEXT="[^ ]*gcc-\([0-9]*\).*/gcc-\1/p' "$tree/.config" 2>/dev/null || true)
    command -v "${gcc:-none}" >/dev/null || gcc=$(ls /usr/bin | grep -xE 'gcc-[0-9]+' | head -1)
    rm -rf "$lab/loopback" && cp -r "$lab"/root/usr/src/v4l2loopback-* "$lab/loopback"
    make -s -C "$tree" M="$lab/loopback" CC="${gcc:-gcc}" modules >"$lab/build.log" 2>&1 ||
        { tail -20 "$lab/build.log" >&2; exit 125; }
    mkdir -p "$lab/root/lib/modules/$release/extra"
    cp "$lab/loopback/v4l2loopback.ko" "$lab/root/lib/modules/$release/extra/"
    depmod -b "$lab/root" "$release"
}

pack_initrd() { # busybox, the modules in the order in which they load, and an init that changes into this machine's root
    say "packing the boot archive"
    local tree=$lab/initrd module file name
    rm -rf "$tree" && mkdir -p "$tree"/{bin,modules,proc,sys,dev,host,memory,root}
    cp "$(command -v busybox)" "$tree/bin/busybox"
    for module in virtio_pci virtio_rng 9pnet_virtio 9p overlay v4l2loopback vivid; do
        modprobe -d "$lab/root" -S "$release" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" {print $2}'
    done | awk '!seen[$0]++' | while read -r file; do
        name=$(basename "$file") && name=${name%.xz}
        case $file in *.xz) xz -dc "$file" >"$tree/modules/$name" ;; *) cp "$file" "$tree/modules/$name" ;; esac
        strip -g "$tree/modules/$name"
        echo "$name" >>"$tree/load-order"
    done
    cat >"$tree/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc && mount -t sysfs sys /sys && mount -t devtmpfs dev /dev
while read -r module; do
    case $module in
        v4l2loopback.ko) options="video_nr=10 exclusive_caps=1 card_label=Avatar" ;;
        vivid.ko) options="n_devs=1 node_types=0x1 vid_cap_nr=0 num_inputs=1 input_types=0x00 no_error_inj=1" ;;
        *) options="" ;;
    esac
    insmod /modules/$module $options || echo "guest: $module did not load"
done </load-order
share="trans=virtio,version=9p2000.L,msize=1048576"
mount -t 9p -o ro,cache=loose,$share host /host
mount -t tmpfs -o size=1g memory /memory && mkdir /memory/upper /memory/work
mount -t overlay -o lowerdir=/host,upperdir=/memory/upper,workdir=/memory/work overlay /root
mkdir -p /root/out && mount -t 9p -o cache=none,$share out /root/out
for place in proc sys dev; do mount -o bind /$place /root/$place; done
mount -t tmpfs run /root/run && mkdir -p /root/dev/shm && mount -t tmpfs shm /root/dev/shm
ifconfig lo 127.0.0.1 up
echo "guest: ready after $(cut -d' ' -f1 /proc/uptime) s"
chroot /root /bin/bash -c '
    export HOME=/run/home PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin PYTHONDONTWRITEBYTECODE=1
    mkdir -p $HOME && cd /out && bash /out/.command; echo $? >/out/.exit-code' </dev/null
sync && poweroff -f
INIT
    chmod +x "$tree/init"
    (cd "$tree" && find . | cpio -o -H newc --quiet | gzip -1) >"$lab/initrd.gz"
}

# a stamp is written only after its step has succeeded, so an interrupted step is done again
[ -e "$lab/fetched" ] || { rm -f "$lab/built" "$lab/packed"; fetch_kernel && touch "$lab/fetched"; }
release=$(cat "$lab/release")
[ -e "$lab/built" ] || { build_loopback && touch "$lab/built"; }
[ "$lab/packed" -nt "$0" ] && [ "$lab/packed" -nt "$lab/built" ] || { pack_initrd && touch "$lab/packed"; }
flock -u 9

rm -f "$out/.exit-code"
printf '%s\n' "$guest_command" >"$out/.command"
say "booting kernel $release (software emulation)"
timeout -k 5 "$limit_s" qemu-system-x86_64 -M pc -accel tcg,thread=multi -cpu max -smp 2 -m 3072 \
    -nodefaults -no-reboot -nographic -nic none -monitor none -serial stdio \
    -kernel "$lab/root/boot/vmlinuz-$release" -initrd "$lab/initrd.gz" \
    -append "console=ttyS0 quiet loglevel=3 mitigations=off nokaslr tsc=reliable random.trust_cpu=on panic=-1" \
    -object rng-random,id=rng,filename=/dev/urandom -device virtio-rng-pci,rng=rng \
    -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
    -device virtio-9p-pci,fsdev=host,mount_tag=host \
    -fsdev local,id=out,path="$out",security_model=none -device virtio-9p-pci,fsdev=out,mount_tag=out </dev/null || true
code=$(cat "$out/.exit-code" 2>/dev/null || echo 125)
say "the guest's command ended with exit code $code"
exit "$code"
