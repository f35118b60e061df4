#!/usr/bin/env bash
# obstore 0.12.1: one key with an empty segment ("a//odd.bin", which S3 allows) makes a whole listing unreadable.
# One would expect the other objects of the listing, or a way to skip the one. Seen: list() raises InvalidPathError for
# the page that holds the key, so that what stands before it in that page is lost as well, and the key is told in the
# message only.
# What follows: let obstore sign a listing, and read it without obstore; where it signs none, name the key in the error, and
# ask for longer prefixes or for single objects.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "obstore==0.12.1"
cd "$place"
AWS_ACCESS_KEY_ID=id AWS_SECRET_ACCESS_KEY=secret AWS_REGION=us-east-1 AWS_ALLOW_HTTP=true venv/bin/python - <<'END'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from obstore.store import S3Store

keys = []


class Service(BaseHTTPRequestHandler):
    """Answers ListObjectsV2 (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html)."""

    def do_GET(self):
        found = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
            "<ETag>&quot;1&quot;</ETag><Size>1</Size></Contents>"
            for key in keys
        )
        body = f'<?xml version="1.0"?><ListBucketResult>{found}<IsTruncated>false</IsTruncated></ListBucketResult>'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
threading.Thread(target=server.serve_forever, daemon=True).start()
store = S3Store("bucket", endpoint=f"http://127.0.0.1:{server.server_port}")
seen = []
for keys in (["a/.first.bin", "a/last.bin"], ["a/.first.bin", "a//odd.bin", "a/last.bin"]):
    try:
        seen.append([one["path"] for page in store.list("a", chunk_size=1) for one in page])
    except Exception as error:
        seen.append(type(error).__name__)
server.shutdown()
print(seen)
sys.exit(seen != [["a/.first.bin", "a/last.bin"], "InvalidPathError"])
END
