#!/bin/sh
# Print the interpreter to build .venv with: the one named as $1, else the first of python3.11, python3 and newer ones
# that is 3.11 or later and has venv. Say what to install when there is none.
set -eu

fit='import sys; sys.exit(sys.version_info < (3, 11))'
bare=

for python in ${1:-python3.11 python3 python3.14 python3.13 python3.12}; do
    "$python" -c "$fit" >/dev/null 2>&1 || continue
    if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        echo "$python"
        exit 0
    fi
    bare=${bare:-$python}
done

if [ -n "$bare" ]; then
    version=$("$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "$bare cannot make virtual environments: a package is missing. Install it with" >&2
    echo "    apt-get install python$version-venv" >&2
else
    echo "Python 3.11 or later is needed${1:+, and $1 is not}. Install it with" >&2
    echo "    apt-get install python3.11 python3.11-venv" >&2
fi
exit 1
