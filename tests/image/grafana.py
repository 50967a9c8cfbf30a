"""Stand in for Grafana: answer that it is healthy if all that it would read can be read by its user, at its place."""

import http.server
from pathlib import Path

READ = (
    "/run/secrets/grafana-password",
    "/etc/grafana/provisioning/datasources/dragoman.yaml",
    "/etc/grafana/provisioning/dashboards/dragoman.yaml",
    "/etc/grafana/dashboards/dragoman.json",
)


class Health(http.server.BaseHTTPRequestHandler):
    """The one page."""

    def do_GET(self) -> None:
        """Read everything anew."""
        self.send_response(200 if all(Path(path).read_bytes() for path in READ) else 500)
        self.end_headers()


http.server.ThreadingHTTPServer(("0.0.0.0", 3000), Health).serve_forever()
