"""What the supervisor's tests run in place of a service: answers /readyz, tells its settings, streams, echoes."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.endswith("/stream"):
            self.send_response(200)
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for _ in range(3):
                self.wfile.write(b"5\r\nabcd\n\r\n")
                time.sleep(0.3)
            self.wfile.write(b"0\r\n\r\n")
            return
        settings = {name: value for name, value in os.environ.items() if name.startswith("H111_")}
        self._answer({"path": self.path, "arguments": sys.argv[1:], "settings": settings})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer({"path": self.path, "headers": dict(self.headers.items()), "body": body.decode("latin-1")})

    def _answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: the tests look at answers."""


ThreadingHTTPServer(("127.0.0.1", int(os.environ["H111_PORT"])), Handler).serve_forever()
