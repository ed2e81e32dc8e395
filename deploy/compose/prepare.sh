# Brings the tables up to date, and makes the tokens that are not there yet: for Prometheus, and to begin with.
set -eu
umask 022
tieout migrate "$TIEOUT_DB"
for role in metrics client; do
  if [ ! -s "/tokens/$role" ]; then
    tieout token create "the-$role" --role "$role" --expires 365d --actor compose --reason "set up by compose" \
      > "/tokens/$role.new"
    mv "/tokens/$role.new" "/tokens/$role"
  fi
done
