"""Runs a program on a terminal of its own, types lines at its questions, and tells what came where.

on_terminal.py JSON, with {"argv": [...], "answers": [["question", "line"], ...]}; stdout of the program is a pipe,
as it is under credential_process. Prints {"code", "stdout", "terminal"} as JSON.
"""

import json
import os
import pty
import select
import sys
import time

LIMIT = 15.0


def run(argv, answers):
    out_read, out_write = os.pipe()
    pid, terminal = pty.fork()
    if pid == 0:
        os.dup2(out_write, 1)
        os.close(out_read)
        os.execvp(argv[0], argv)
    os.close(out_write)
    shown, printed, waiting = b"", b"", list(answers)
    seen = 0
    sources = {terminal, out_read}
    end = time.monotonic() + LIMIT
    while sources and time.monotonic() < end:
        for source in select.select(list(sources), [], [], 0.2)[0]:
            try:
                piece = os.read(source, 65536)
            except OSError:
                piece = b""
            if not piece:
                sources.discard(source)
            elif source == terminal:
                shown += piece
            else:
                printed += piece
        if waiting and waiting[0][0].encode() in shown[seen:]:
            seen = len(shown)
            os.write(terminal, waiting.pop(0)[1].encode() + b"\n")
    if sources:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "stdout": printed.decode(errors="replace"),
        "terminal": shown.decode(errors="replace"),
        "unasked": [question for question, _ in waiting],
    }


task = json.loads(sys.argv[1])
print(json.dumps(run(task["argv"], task["answers"])))
