# Sourced by the other scripts: makes .venv from a requirements file, once for each state of that file.
#   environment requirements.txt
# Threads that wait for each other shall sleep: where spinning ones share cores with other programs, a step takes many
# times as long.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
environment() {
    local requirements=$1 python=${PYTHON:-python3.11} stamp
    command -v "$python" >/dev/null || python=python3
    stamp=.venv/.installed-$(cat requirements.txt "$requirements" | sha256sum | cut -c1-16)
    if [ ! -e "$stamp" ]; then
        [ -x .venv/bin/python ] || "$python" -m venv .venv
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
        touch "$stamp"
    fi
    export PATH="$PWD/.venv/bin:$PATH"
}
