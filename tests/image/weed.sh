#!/bin/sh
# What compose.yaml asks of SeaweedFS, answered by moto: a server of the S3 protocol, and a shell that makes buckets.
case " $* " in
  *" server "*)
    test -r /run/secrets/s3-json || exit 1
    exec /opt/moto/bin/moto_server --host 0.0.0.0 --port 8333 ;;
  " shell "*)
    read -r command _ name
    host=$(echo "$*" | sed -E 's/.*-master=([^:]+):.*/\1/')
    if [ "$command" = s3.bucket.create ]; then exec curl -sS -X PUT "http://$host:8333/$name"; fi
    curl -sS "http://$host:8333/" | grep -o '<Name>[^<]*' ;;
esac
