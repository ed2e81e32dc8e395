#!/usr/bin/env bash
# Install the servers that the tests start, where root may do that; else say which packages are missing, and fail.
set -eu

missing=()
if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! command -v initdb >/dev/null; then
    missing+=(postgresql)
fi
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "The tests need packages that are not installed. As root:" >&2
    echo "    apt-get install ${missing[*]}" >&2
    exit 1
fi

echo "Installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update </dev/null
# The tests start servers of their own, as needed: the package's default one is neither made nor started.
if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
fi
apt-get -qq install --yes --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}" </dev/null
