"""A stranger's app: the standard library alone, one port, nothing known of Homeport."""

import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hello(BaseHTTPRequestHandler):
    """Answers every GET alike, on connections that are kept."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """One short answer."""
        body = b"hello\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a line for each request of a load would be all that the log holds."""


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
# its own default is 5, which drops connections as soon as a few dozen people come at once
ThreadingHTTPServer.request_queue_size = 128
# it warms something up before it listens
time.sleep(float(os.environ.get("START_DELAY", "0")))
ThreadingHTTPServer(("", 8000), Hello).serve_forever()
