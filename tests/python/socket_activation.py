"""What a supervisor does: opens sockets, tells the program of them, and becomes the program."""

import os
import socket
import sys

addresses, program = sys.argv[1].split(","), sys.argv[2:]
sockets = []
for address in addresses:
    host, port = address.rsplit(":", 1)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, int(port)))
    listener.listen()
    sockets.append(listener)
for number, listener in enumerate(sockets):
    # Out of the way first: a descriptor of ours may have the number that another one is to get.
    os.dup2(listener.fileno(), 100 + number, inheritable=False)
for number in range(len(sockets)):
    os.dup2(100 + number, 3 + number)
os.environ.update(LISTEN_FDS=str(len(sockets)), LISTEN_PID=str(os.getpid()))
os.execv(program[0], program)
