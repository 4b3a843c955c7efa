"""Runs a program at a terminal of its own and types a line when it asks for a passphrase: at_a_terminal.py LINE COMMAND…"""

import os
import pty
import sys

child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said, typed = b"", False
while True:
    try:
        piece = os.read(terminal, 4096)
    except OSError:
        break
    if not piece:
        break
    said += piece
    if not typed and b"passphrase" in said.lower():
        os.write(terminal, sys.argv[1].encode() + b"\n")
        typed = True
sys.stderr.write(said.decode(errors="replace"))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
