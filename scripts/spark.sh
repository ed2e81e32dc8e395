#!/usr/bin/env bash
# Put Spark where the tests start it from. PyPI has it whole, as the source of pyspark; nothing of it is built.
set -eu
cd "$(dirname "$0")/.."

pinned=tests/servers/spark_requirements.txt
version="$(sed -n 's/^pyspark==\([^ ]*\).*/\1/p' "$pinned")"
if [ -d ".cache/spark-$version" ]; then
    exit 0
fi

echo "Installing Spark $version" >&2
mkdir -p .cache
part="$(mktemp -d .cache/spark.XXXXXX)"
trap 'rm -rf "$part"' EXIT
.venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary=:all: --require-hashes \
    --requirement "$pinned" --dest "$part"
mkdir "$part/spark"
tar -xzf "$part/pyspark-$version.tar.gz" -C "$part/spark" --strip-components=2 "pyspark-$version/deps/bin" \
    "pyspark-$version/deps/jars" "pyspark-$version/deps/sbin"
mv --no-target-directory "$part/spark" ".cache/spark-$version" || [ -d ".cache/spark-$version" ] # another was faster
