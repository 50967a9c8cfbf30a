# What the official image's entry point does for compose.yaml: make the cluster once, then serve it.
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" --auth-local trust --auth-host scram-sha-256 >/dev/null
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  pg_ctl --silent --wait --options '-c listen_addresses=' start
  createdb --username "$POSTGRES_USER" "$POSTGRES_DB" || true
  pg_ctl --silent --wait stop
fi
exec postgres -c listen_addresses='*'
