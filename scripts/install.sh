#!/usr/bin/env bash
# Installs visavis for this user: by uv or pipx where one is there, else into an environment of its own in PREFIX.
#
#   usage: scripts/install.sh [remove]
#
# EXTRAS: what comes with it (call,c2pa,camera). PREFIX: ~/.local. PYTHON: the interpreter, 3.11 to 3.13.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=${PREFIX:-$HOME/.local}
place=$prefix/lib/visavis
extras=${EXTRAS-call,c2pa,camera}
what=.${extras:+[$extras]}

say() { printf '\033[1m• %s\033[0m\n' "$*"; }
fail() { printf '\033[31mError: %s\033[0m\n' "$*" >&2 && exit 1; }

visavis=visavis # how it is called: by its whole path where a shell does not find it
tool=own
if [ -z "${PREFIX:-}" ] && [ ! -d "$place" ]; then
    for candidate in uv pipx; do
        if command -v "$candidate" >/dev/null; then tool=$candidate && break; fi
    done
fi

if [ "${1:-}" = remove ]; then
    case $tool in
    uv) uv tool uninstall visavis ;;
    pipx) pipx uninstall visavis ;;
    own) rm -rf "$place" && rm -f "$prefix/bin/visavis" ;;
    esac
    say "visavis is gone. Avatars stay: \`visavis forget --all\` would have deleted them (docs/PRIVACY.md says where they are)."
    exit
fi

case $tool in
uv) uv tool install --force ${PYTHON:+--python "$PYTHON"} "$what" ;;
pipx) pipx install --force ${PYTHON:+--python "$PYTHON"} "$what" ;;
own)
    python=
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            python=$candidate && break
        fi
    done
    [ -n "$python" ] || fail "visavis needs Python 3.11, 3.12 or 3.13. Name one: make install PYTHON=/path/to/python3.12"
    say "Installing visavis into $place ($("$python" --version), 1 GB)"
    "$python" -m venv --clear "$place" ||
        fail "$place could not be made. On Debian and Ubuntu: sudo apt-get install python3-venv"
    "$place/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$what" ||
        fail "pip could not install the packages. Its last lines above say why; is a package index reachable?"
    mkdir -p "$prefix/bin"
    ln -sf "$place/bin/visavis" "$prefix/bin/visavis"
    case :$PATH: in
    *":$prefix/bin:"*) ;;
    *)
        visavis=$prefix/bin/visavis
        say "$prefix/bin is not on your PATH. To type visavis alone in new terminals:"
        printf '    echo '\''export PATH="%s/bin:$PATH"'\'' >> ~/.profile    # then log in anew\n' "$prefix"
        ;;
    esac
    missing=$("$place/bin/python" -m avatar.core.system)
    [ -z "$missing" ] || say "Libraries of the system are missing, which Debian calls: ${missing//$'\n'/ }"
    ;;
esac
say "Now: $visavis, or $visavis install-desktop for its icon. \`$visavis doctor\` tells what is missing."
