"""iam-sorry's envelopes by their documented formula, with the `cryptography` package: shares no code with ours.

    envelope.py make KEYFILE   prints envelopes of both schemes as JSON: tests/fixtures/envelopes.json
    envelope.py open KEYFILE   reads envelopes from stdin, one a line, and prints what they hold and by which scheme
"""

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PREFIX = "__encrypted__:"
SALTS = {"iam-sorry-v1": b"iam-sorry-v1-salt-2025", "iam-sorry-saltless": None}
TEXTS = [
    "AKIAIOSFODNN7EXAMPLE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AKIAI44QH8DHBEXAMPLE",
    "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    "x",
    "ünïcödé",
]


def cipher(key_file, scheme):
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=SALTS[scheme], info=b"iam-sorry-encryption")
    return AESGCM(kdf.derive(key_file))


def make(key_file):
    envelopes = []
    for scheme in SALTS:
        for text in TEXTS:
            nonce = hashlib.sha256(f"{scheme} {text}".encode()).digest()[:12]
            sealed = nonce + cipher(key_file, scheme).encrypt(nonce, text.encode(), None)
            value = PREFIX + base64.b64encode(sealed).decode()
            envelopes.append({"scheme": scheme, "text": text, "nonce": nonce.hex(), "value": value})
    return envelopes


def opened(key_file, value):
    payload = base64.b64decode(value[len(PREFIX) :])
    for scheme in SALTS:
        try:
            text = cipher(key_file, scheme).decrypt(payload[:12], payload[12:], None).decode()
        except InvalidTag:
            continue
        return {"scheme": scheme, "text": text}
    return None


def main():
    with open(sys.argv[2], "rb") as file:
        key_file = file.read()
    if sys.argv[1] == "make":
        print(json.dumps(make(key_file), indent=1, ensure_ascii=False))
    else:
        for line in sys.stdin:
            print(json.dumps(opened(key_file, line.strip())))


main()
