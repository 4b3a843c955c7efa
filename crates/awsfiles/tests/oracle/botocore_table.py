"""Prints what botocore says of a table of config files, as JSON: the expectations of tests/it/parsing.rs.

Run by hand when the table grows: `python3 botocore_table.py > ../it/botocore_answers.json` (botocore 1.43.11).
"""
import json
import os
import random
import tempfile

import botocore.configloader

BY_HAND = [
    "", "\n\n# only a comment\n",
    "[profile a]\nx=1\n[profile  b]\nx=2\n[profile \"d e\"]\nx=3\n[profile 'f g']\nx=4\n",
    "[profile f g]\nx=1\n", "[b]\nx=1\n", "[profile default]\nz=1\n", "[profile]\nx=1\n", "[profilex y]\na=1\n",
    "[default]\na=1\n[profile default]\nb=2\n", "[profile default]\nb=2\n[default]\na=1\n",
    "[profile a]\nx=1\n[profile 'a']\ny=1\n", "[profile it's]\na=1\n", "[profile #a]\nb=1\n", "[profile '']\na=1\n",
    "[profile 'x\\y']\nb=1\n[profile \"x\\y\\\"z\"]\nb=1\n[profile x\\ y]\nc=1\n", "[profile ünï]\na=ß\n",
    "[a]\nx=1\n[a]\ny=1\n", "[a]\nx=1\nx=2\n", "[a]\nx=1\nX=2\n", "[a]\nx=1\n[b]\nx=1\n",
    "[default]\nRegion : eu # c\n # note\n ; semi\nempty =\n", "[default]\n  key   =   value with  blanks  \n",
    "[default]\nfoo\n", "[default]\n= x\n", "x=1\n[default]\n", "[default]\nv=a=b:c\np=%x%(y)s\n",
    "[profile a] # c\nx=1\n[profile a]b]\ny=2\n", "[]\na=1\n", "[default\na=1\n",
    "[default]\nregion = x\n  output = json\n", "[default]\na=1\n\n\n  two\n\n\nb=1\n", "[default]\na = x\n # c\n  y\n",
    "[profile a]\n  [profile b]\n region=y\n", "  [default]\n  a = 1\n    b = 2\n  c = 3\n d=4\n",
    "[profile a]\nregion = x\n  [profile b]\n",
    "[default]\ns3 =\n\n    # c\n    a = 1\n\tB=2\n\n    c = x=y\nz=1\n", "[default]\ns3 =\n  bad\n",
    "[default]\ns3 =\n  x=1\n  x=2\n", "[default]\ns3 =\n  a: b\n", "[default]\ns3 =\n  a =\n    b = 1\n",
    "[DEFAULT]\nregion=r\n[DEFAULT]\noutput=o\n[profile a]\noutput=mine\n[sso-session q]\n",
    "[DEFAULT]\na=1\n[DEFAULT]\na=2\n", "[DEFAULT]\nx=1\n", "[profile a]\ny=1\n[DEFAULT]\nx=1\n",
    "[sso-session]\nx=1\n[sso-session s]\nx=1\n[sso-session \"t u\"]\n",
    "[default]\r\na=1\r\ns3 =\r\n  b = 2\r\n", "[default]\ra=1\rb=2\r", "[default]\na=1\n\x1a", "[default]\na\x0bb = 1\x0c\n",
    "[default]\n\x1c = 1\n", "[default]\na = 1\u2028b\n", "[default]\na = 1\u00a0\n\u00a0b = 2\n",
]
PIECES = [
    "[default]", "[profile a]", "[profile  a]", "[profile b c]", "[DEFAULT]", "[sso-session s]", "[profile 'q'] # x",
    "a = 1", "b: 2", "A = 3", "s3 =", "  x = 1", "  y", "\tz = 2", "    deep = 3", "# c", "  ; c", "", "  ", "junk", "= v",
    "c =", "[x]", "  [profile z]", "d = #e",
]


def answer(text):
    with tempfile.NamedTemporaryFile("wb", delete=False) as file:
        file.write(text.encode())
    try:
        loaded = botocore.configloader.load_config(file.name)
    except botocore.exceptions.ConfigParseError:
        return None
    finally:
        os.unlink(file.name)
    return {"profiles": loaded["profiles"], "sso_sessions": loaded["sso_sessions"]}


def main():
    rng = random.Random(1)
    table = list(BY_HAND)
    good = bad = 0
    while good < 150 or bad < 50:
        text = "".join(rng.choice(PIECES) + rng.choice(["\n", "\n", "\n", "\r\n"]) for _ in range(rng.randint(2, 9)))
        if answer(text) is None:
            bad += 1
            if bad <= 50:
                table.append(text)
        else:
            good += 1
            if good <= 150:
                table.append(text)
    lines = (json.dumps({"input": text, "answer": answer(text)}, sort_keys=True) for text in table)
    print("[\n" + ",\n".join(lines) + "\n]")


main()
