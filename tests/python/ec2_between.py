"""Stands between a client and EC2, and holds every exchange against botocore's own model of EC2.

Usage: ec2_between.py UPSTREAM LOG. Prints its port; writes a JSON line for each exchange: the operation, the status, the
error's code, and everything that the model does not know or that botocore would have said otherwise.
"""

import http.client
import json
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree

import botocore.parsers
import botocore.serialize
import botocore.session
import botocore.validate

upstream, log = urllib.parse.urlsplit(sys.argv[1]), sys.argv[2]
model = botocore.session.get_session().get_service_model("ec2")
serializer = botocore.serialize.create_serializer("ec2")
parser = botocore.parsers.create_parser("ec2")
writing = threading.Lock()


def query_name(shape, member):
    """The name of a member in a form, as EC2's protocol has it."""
    written = shape.serialization.get("queryName")
    if written:
        return written
    name = shape.serialization.get("name", member)
    return name[0].upper() + name[1:]


def decoded(shape, prefix, form, used):
    """What stands in `form` under `prefix`, as the model sees it."""
    if shape.type_name == "structure":
        found = {}
        for member, inner in shape.members.items():
            path = f"{prefix}.{query_name(inner, member)}".lstrip(".")
            if path in form or any(key.startswith(path + ".") for key in form):
                found[member] = decoded(inner, path, form, used)
        return found
    if shape.type_name == "list":
        found, number = [], 1
        while any(key == f"{prefix}.{number}" or key.startswith(f"{prefix}.{number}.") for key in form):
            found.append(decoded(shape.member, f"{prefix}.{number}", form, used))
            number += 1
        return found
    used.add(prefix)
    text = form[prefix]
    if shape.type_name == "boolean":
        return {"true": True, "false": False}[text]
    return int(text) if shape.type_name in ("integer", "long") else text


def faults_of_request(operation, form):
    used = {"Action", "Version"}
    given = decoded(operation.input_shape, "", form, used)
    yield from (f"{name} is in no model" for name in form if name not in used)
    report = botocore.validate.ParamValidator().validate(given, operation.input_shape)
    if report.has_errors():
        yield report.generate_report()
    ours, theirs = form, serializer.serialize_to_request(given, operation)["body"]
    theirs = {name: str(value) for name, value in theirs.items()}
    if ours != theirs:
        yield f"botocore would send {theirs}, not {ours}"


def unknown(element, shape, path):
    """Elements of an answer that the model does not have."""
    if shape.type_name == "structure":
        names = {inner.serialization.get("name", member): inner for member, inner in shape.members.items()}
        for child in element:
            name = bare(child)
            if name in names:
                yield from unknown(child, names[name], f"{path}/{name}")
            else:
                yield f"{path}/{name} is in no model"
    elif shape.type_name == "list":
        wanted = shape.member.serialization.get("name", "member")
        for child in element:
            if bare(child) != wanted:
                yield f"{path}/{bare(child)} is not {wanted}"
            yield from unknown(child, shape.member, f"{path}/{wanted}")


def bare(element):
    return element.tag.rsplit("}", 1)[-1]


def faults_of_answer(operation, status, headers, body):
    root = ElementTree.fromstring(body)
    said = parser.parse({"status_code": status, "headers": headers, "body": body}, operation.output_shape)
    if status >= 300:
        error = said.get("Error", {})
        if bare(root) != "Response" or not error.get("Code") or not error.get("Message"):
            yield f"no error that botocore reads: {body[:200]}"
        return
    if bare(root) != f"{operation.name}Response":
        yield f"the answer is a {bare(root)}"
    for child in root:
        if operation.output_shape is None or bare(child) == "requestId":
            if bare(child) not in ("requestId", "return"):
                yield f"{bare(child)} in an answer without a model"
            continue
        members = operation.output_shape.members.items()
        names = {inner.serialization.get("name", member): inner for member, inner in members}
        if bare(child) in names:
            yield from unknown(child, names[bare(child)], bare(child))
        else:
            yield f"{bare(child)} is in no model"


def exchange(form_text, status, headers, body):
    pairs = urllib.parse.parse_qsl(form_text, keep_blank_values=True, strict_parsing=True)
    form = dict(pairs)
    faults = [] if len(form) == len(pairs) else ["a name stands there twice"]
    operation = model.operation_model(form["Action"])
    if form["Version"] != model.api_version:
        faults.append(f"version {form['Version']}")
    faults.extend(faults_of_request(operation, form))
    faults.extend(faults_of_answer(operation, status, headers, body))
    code = None if status < 300 else parser.parse({"status_code": status, "headers": headers, "body": body}, None)["Error"]["Code"]
    return {"operation": operation.name, "dry": form.get("DryRun") == "true", "status": status, "code": code, "faults": faults}


class Between(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        form = self.rfile.read(int(self.headers["content-length"]))
        there = http.client.HTTPConnection(upstream.hostname, upstream.port, timeout=10)
        # The signature covers the name that the client has called.
        there.putrequest("POST", self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "connection":
                there.putheader(name, value)
        there.endheaders(form)
        answer = there.getresponse()
        body = answer.read()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        try:
            line = exchange(form.decode(), answer.status, headers, body)
        except Exception as error:  # noqa: BLE001  whatever it is, the exchange is none that botocore understands
            line = {"operation": "?", "status": answer.status, "code": None, "dry": False, "faults": [repr(error), form.decode()]}
        with writing, open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.send_response(answer.status)
        for name, value in headers.items():
            if name not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Between)
print(server.server_port, flush=True)
server.serve_forever()
