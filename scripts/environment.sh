# Sourced by the other scripts: makes .venv from a requirements file, once for each state of that file.
#   environment requirements.txt
# PYTHON names the interpreter; without it the first of python3.11, python3.12, python3.13 and python3 that there is.
# Threads that wait for each other shall sleep: where spinning ones share cores with other programs, a step takes many
# times as long.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
environment() {
    local requirements=$1 stamp
    stamp=.venv/.installed-$(cat requirements.txt "$requirements" | sha256sum | cut -c1-16)
    if [ -n "${PYTHON:-}" ] || [ ! -e "$stamp" ]; then
        _make_venv || return
    fi
    if [ ! -e "$stamp" ]; then
        echo "installing $requirements into .venv: some minutes, about 7 GB on disk" >&2
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements" || return
        touch "$stamp"
    fi
    export PATH="$PWD/.venv/bin:$PATH"
}
# .venv, unless it is there; 1 and a line that says what to do where that cannot be.
_make_venv() {
    local python=${PYTHON:-} name version there show='import sys; print("%d.%d.%d" % sys.version_info[:3])'
    for name in python3.11 python3.12 python3.13 python3; do
        [ -n "$python" ] || ! command -v "$name" >/dev/null || python=$name
    done
    if ! version=$("${python:-python3}" -c "$show" 2>/dev/null); then
        echo "${python:-python3}: no such Python; install Python 3.11, 3.12 or 3.13, or pass PYTHON=/path/to/one" >&2
        return 1
    fi
    case $version in
        3.11.* | 3.12.* | 3.13.*) ;;
        *)
            echo "$python is Python $version; 3.11, 3.12 or 3.13 is needed: pass PYTHON=/path/to/one" >&2
            return 1
            ;;
    esac
    if .venv/bin/python -m pip --version >/dev/null 2>&1; then # an interrupted venv has no pip, and is made anew
        there=$(.venv/bin/python -c "$show")
        if [ -n "${PYTHON:-}" ] && [ "$there" != "$version" ]; then
            echo "PYTHON=$PYTHON is Python $version, .venv is $there; remove .venv, or leave PYTHON out" >&2
            return 1
        fi
        return 0
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$python has no ensurepip to make .venv; on Debian and Ubuntu: apt-get install python${version%.*}-venv" >&2
        return 1
    fi
    "$python" -m venv --clear .venv
}
