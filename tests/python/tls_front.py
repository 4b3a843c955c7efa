"""Speaks TLS on 127.0.0.1 and hands every byte on: tls_front.py CERTIFICATE KEY PORT UPSTREAM_PORT. Says `ready`."""

import socket
import ssl
import sys
import threading


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


certificate, key, port, upstream = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server = socket.create_server(("127.0.0.1", int(port)))
print("ready", flush=True)
while True:
    plain, _ = server.accept()
    try:
        client = context.wrap_socket(plain, server_side=True)
    except OSError:
        continue
    inner = socket.create_connection(("127.0.0.1", int(upstream)))
    for pair in ((client, inner), (inner, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
