#!/usr/bin/env bash
# Install the servers that the tests start, where root may do that; else say which packages are missing, and fail.
set -eu

missing=()
if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! command -v initdb >/dev/null; then
    missing+=(postgresql)
fi
if ! PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v mariadbd >/dev/null; then
    missing+=(mariadb-server)
fi
if ! PATH="$PATH:/usr/sbin:/usr/local/bin" command -v nats-server >/dev/null; then
    missing+=(nats-server)
fi
if [ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
    missing+=(rabbitmq-server)
fi
if ! command -v redis-server >/dev/null; then
    missing+=(redis-server) # beside us in the benchmark of reads
fi
if ! command -v chromium >/dev/null; then
    missing+=(chromium) # shows the pages, without a window
fi
if ! command -v java >/dev/null; then
    missing+=(openjdk-17-jre-headless) # runs Spark, which scripts/spark.sh brings
fi
if ! command -v strace >/dev/null; then
    missing+=(strace) # records what reaches the disk
fi
if [ ! -e "/usr/lib/$(uname -m)-linux-gnu/faketime/libfaketime.so.1" ]; then
    missing+=(faketime) # gives one process another time
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
# The tests start servers of their own: the package is kept from making and starting one while it is installed.
conf=/etc/postgresql-common/createcluster.conf
if [ ! -e "$conf" ]; then
    mkdir -p "${conf%/*}"
    echo 'create_main_cluster = false' >"$conf"
    trap 'if [ -e "$conf.ucf-dist" ]; then mv "$conf.ucf-dist" "$conf"; fi' EXIT
fi
apt-get -qq install --yes --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}" </dev/null >/dev/null
