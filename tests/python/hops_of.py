"""Prints the IP TTL of what 127.0.0.1:PORT answers with: hops_of.py PORT. Exit code 77 where raw sockets are not allowed."""

import socket
import sys

port = int(sys.argv[1])
try:
    tap = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
except PermissionError:
    sys.exit(77)
tap.settimeout(10)
client = socket.create_connection(("127.0.0.1", port))
client.sendall(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
while client.recv(4096):
    pass
while True:
    packet = tap.recv(65536)
    header = 4 * (packet[0] & 15)
    data = header + 4 * (packet[header + 12] >> 4)
    if int.from_bytes(packet[header : header + 2], "big") == port and len(packet) > data:
        print(packet[8])
        break
