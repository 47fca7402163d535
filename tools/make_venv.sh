#!/bin/sh
# Make a virtual environment with a current pip: make_venv.sh FOLDER
set -eu
folder=$1
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "pixvec needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi
rm -rf "$folder"
# Debian leaves out what venv puts pip in with, unless python3-venv is installed; an outer pip can do it.
if ! "$python" -m venv "$folder" >/dev/null 2>&1; then
    rm -rf "$folder"
    if ! { "$python" -m venv --without-pip "$folder" && "$python" -m pip --python "$folder" install --quiet pip; }; then
        echo "no virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi
"$folder/bin/python" -m pip install --quiet --upgrade 'pip>=25.1'
