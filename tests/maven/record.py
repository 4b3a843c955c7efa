#!/usr/bin/env python3
"""Records what a real `mvn package` of tests/maven/project asks a repository for: tests/maven/requests.txt.

The repository is Debian's own (/usr/share/maven-repo, see maven.rs), the local one is empty. Run it again when the
project or Maven changes:  python3 tests/maven/record.py
"""

import functools
import http.server
import pathlib
import shutil
import subprocess
import tempfile
import threading

HERE = pathlib.Path(__file__).parent
REPOSITORY = "/usr/share/maven-repo"
# What differs from run to run, or what whoever replays this says itself.
OWN = {"host", "connection"}


class Repository(http.server.SimpleHTTPRequestHandler):
    """Serves the files and keeps what was asked."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, str]] = []

    def do_GET(self):
        headers = "".join(f"{name}: {value}\n" for name, value in self.headers.items() if name.lower() not in OWN)
        self.seen.append((headers, self.command, self.path))
        super().do_GET()

    def log_message(self, *_):
        pass


def build(port: int, work: pathlib.Path) -> None:
    shutil.copytree(HERE / "project", work / "project")
    command = ["/usr/bin/mvn", "-B", "-ntp", "-s", str(HERE / "settings.xml"), f"-Dmirror.url=http://127.0.0.1:{port}"]
    command += [f"-Dmaven.repo.local={work / 'm2'}", "package"]
    subprocess.run(command, cwd=work / "project", check=True, timeout=300)


def main() -> None:
    handler = functools.partial(Repository, directory=REPOSITORY)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as work:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        build(server.server_address[1], pathlib.Path(work))
        server.shutdown()
    headers = {headers for headers, _, _ in Repository.seen}
    if len(headers) != 1:
        raise SystemExit(f"the headers differ from request to request: {headers}")
    lines = "".join(f"{method} {path}\n" for _, method, path in Repository.seen)
    text = "# A real build's requests in their order, by record.py. First the headers that all of them carry.\n"
    (HERE / "requests.txt").write_text(f"{text}{headers.pop()}\n{lines}")


if __name__ == "__main__":
    main()
