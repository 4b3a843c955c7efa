"""Types into a shell on a terminal of its own, as a person does who presses the tabulator.

tab.py JSON, with {"argv": [...], "typed": [["keys", "what must be shown then"], ...]}. Prints what was shown, and ends
with 1 when something of it did not come.
"""

import json
import os
import pty
import select
import sys
import time

LIMIT = 12.0


def shown_until(terminal, wanted, end):
    shown = b""
    while wanted not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 65536)
            except OSError:
                break
    return shown


def run(argv, typed):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    end, good = time.monotonic() + LIMIT, True
    for keys, wanted in typed:
        os.write(terminal, keys.encode())
        shown = shown_until(terminal, wanted.encode(), end)
        print(shown.decode(errors="replace"))
        good = good and wanted.encode() in shown
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return 0 if good else 1


task = json.loads(sys.argv[1])
sys.exit(run(task["argv"], task["typed"]))
