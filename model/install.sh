#!/bin/sh
# The image's build steps, which model/Dockerfile and tests/container both run:
#   install.sh packages PREFIX cpu|gpu   the locked packages, in a new virtual environment PREFIX
#   install.sh program PREFIX            the server and the part of clayline it uses, laid out as in the repository,
#                                        with `serve` in PREFIX/bin
# Two steps, so that a change of ours does not send 2 GB of packages to the registry again. $PYTHON, or python3, must be
# a 3.13 that has pip; the environment gets none. Nothing is left to be fetched or compiled when the container starts:
# it has no network, and may not write here.
set -eu

usage() {
    echo "usage: install.sh packages PREFIX cpu|gpu | install.sh program PREFIX" >&2
    exit 2
}

source=$(cd "$(dirname "$0")/.." && pwd)
step=${1:-} prefix=${2:-} flavour=${3:-}
[ -n "$prefix" ] || usage

case $step in
packages)
    case $flavour in
    cpu) lock=$source/requirements/server.txt ;;
    gpu) lock=$source/requirements/server-gpu.txt ;;
    *) usage ;;
    esac
    python=${PYTHON:-python3}
    "$python" -m venv --without-pip "$prefix"
    "$python" -m pip --python "$prefix/bin/python3" install --quiet --no-input --disable-pip-version-check \
        --require-hashes --no-deps --only-binary :all: --requirement "$lock"
    ;;
program)
    mkdir -p "$prefix/model" "$prefix/layers/clayline"
    rm -rf "$prefix/model/server" "$prefix/layers/clayline/clayline"
    cp -R "$source/model/server" "$prefix/model/server"
    cp -R "$source/layers/clayline/clayline" "$prefix/layers/clayline/clayline"
    "$prefix/bin/python3" -m compileall -q --invalidation-mode unchecked-hash "$prefix/model" "$prefix/layers"
    chmod -R a+rX "$prefix/model" "$prefix/layers"
    ln -sf ../model/server/serve "$prefix/bin/serve"
    # Every import of the program, by the way it will be started.
    "$prefix/bin/serve" --help >/dev/null
    "$prefix/bin/python3" -c \
        'import onnxruntime as o; print("onnxruntime", o.__version__, *o.get_available_providers())'
    ;;
*) usage ;;
esac
