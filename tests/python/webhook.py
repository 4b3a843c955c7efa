"""A webhook's receiver, with Python's own HMAC. Writes a JSON line for each request; answers 503 while a file is there.

Usage: webhook.py PORT SECRET_FILE LOG AWAY_FILE
"""

import hashlib
import hmac
import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

port, secret_file, log, away = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
with open(secret_file, "rb") as file:
    secret = file.read().strip()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        stamp = self.headers["x-bowline-timestamp"]
        wanted = "sha256=" + hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest(wanted, self.headers["x-bowline-signature"])
        recent = abs(time.time() - int(stamp)) < 300
        refused = os.path.exists(away)
        line = {"genuine": genuine and recent, "refused": refused, "message": json.loads(body)}
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.send_response(503 if refused else 204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


HTTPServer(("127.0.0.1", port), Receiver).serve_forever()
