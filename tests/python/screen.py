"""Runs a program whose whole terminal is ours, presses keys when it shows something, and tells what it showed.

screen.py JSON, with {"argv": [...], "size": [columns, rows], "steps": [["shown", "keys"], ...]}. Prints as JSON {"code",
"shown" without escape sequences, "missing": what never came, "left": whether the other screen was entered and left,
"echo": whether the terminal echoes afterwards}.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time

LIMIT = 10.0
# Blanks are not drawn: the cursor goes past them.
MOVES = re.compile(rb"\x1b\[[0-9;]*H")
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>78]")


def plain(raw):
    return ESCAPES.sub(b"", MOVES.sub(b" ", raw))


def run(argv, size, steps):
    pid, terminal = pty.fork()
    if pid == 0:
        # Until its size is known.
        sys.stdin.readline()
        os.execvp(argv[0], argv)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    os.write(terminal, b"\n")
    raw, waiting, end = b"", list(steps), time.monotonic() + LIMIT
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                break
            if not piece:
                break
            raw += piece
        # Anywhere: what stays on the screen is not drawn again.
        if waiting and waiting[0][0].encode() in plain(raw):
            os.write(terminal, waiting.pop(0)[1].encode())
    else:
        os.kill(pid, 9)
    echo = bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
    _, status = os.waitpid(pid, 0)
    entered, left = raw.rfind(b"\x1b[?1049h"), raw.rfind(b"\x1b[?1049l")
    return {
        "code": os.waitstatus_to_exitcode(status),
        "shown": plain(raw).decode(errors="replace"),
        "missing": [shown for shown, _ in waiting],
        "left": 0 <= entered < left,
        "colours": b"\x1b[38;" in raw or re.search(rb"\x1b\[3[0-7]m", raw) is not None,
        "echo": echo,
    }


task = json.loads(sys.argv[1])
print(json.dumps(run(task["argv"], task["size"], task["steps"])))
