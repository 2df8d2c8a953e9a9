#!/bin/sh
# Build the virtual environment from the locked set, hashes checked.
#
# usage: venv.sh FOLDER LOCK STAMP, from the repository's top; PYTHON names the interpreter.
# Two at once are safe: the second waits, then finds the work done.
set -eu

folder=$1
lock=$2
stamp=$3
python=${PYTHON:-python3}

fail() {
    echo "setup: $*" >&2
    exit 1
}

mkdir -p .local
exec 9>.local/setup.lock
if command -v flock >/dev/null; then
    flock 9
fi
if [ -e "$stamp" ] && [ ! "$lock" -nt "$stamp" ]; then
    exit 0
fi

command -v "$python" >/dev/null ||
    fail "$python is missing: install Python 3.11 or later, or name one with PYTHON=..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old: install Python 3.11 or later, or name one with PYTHON=..."

if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    # Debian and Ubuntu ship ensurepip apart from Python.
    package="$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    if [ "$(id -u)" = 0 ]; then
        sudo=
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo="sudo -n"
    else
        fail "Python's venv module is missing: install the package $package"
    fi
    command -v apt-get >/dev/null || fail "Python's venv module is missing: install $package"
    echo "installing $package (apt-get) ..."
    apt_get() {
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" 9>&-
    }
    try=1
    until { apt_get update && apt_get install -y --no-install-recommends "$package"; } \
        >.local/setup.log 2>&1; do
        # Another apt-get at the same time is the usual reason, and passes.
        if [ $try = 3 ]; then
            tail -n 5 .local/setup.log >&2
            fail "could not install $package"
        fi
        try=$((try + 1))
        sleep 10
    done
fi

echo "building the virtual environment $folder (a minute or so) ..."
rm -rf "$folder"
{
    "$python" -m venv "$folder" &&
        "$folder/bin/python" -m pip install --quiet --no-input --disable-pip-version-check \
            --require-hashes --requirement "$lock"
} >.local/setup.log 2>&1 9>&- || {
    rm -rf "$folder"
    tail -n 15 .local/setup.log >&2
    fail "could not install what $lock names; all of it in .local/setup.log"
}
touch "$stamp"
