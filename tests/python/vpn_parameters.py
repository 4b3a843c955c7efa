"""Makes the predecessor's parameters with boto3, or checks what became of them.

Usage: vpn_parameters.py furnish|check ENDPOINT KEY_ID SECRET
"""

import base64
import json
import sys

import boto3

KEY = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
PUBLIC = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
USERS = 12

what, endpoint, key_id, secret = sys.argv[1:]
ssm = boto3.client(
    "ssm", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key_id, aws_secret_access_key=secret
)


def put(name, value, kind="String"):
    ssm.put_parameter(Name=f"/ephem-vpn/{name}", Value=value, Type=kind)


def furnish():
    wrapped = base64.b64encode(KEY.encode()).decode()
    put("master-api-key", "the-master-key", "SecureString")
    put("wg/server-private-key", KEY)
    put("wg/server-private-key-b64", wrapped, "SecureString")
    put("wg/server-public-key", PUBLIC)
    put("wg/server-public-key-b64", base64.b64encode(PUBLIC.encode()).decode())
    put("wg/server-key-metadata", json.dumps({"key_algorithm": "curve25519"}))
    for number in range(USERS):
        put(f"users/user-{number}/api-key", f"old-key-of-user-{number}", "SecureString")
        put(f"users/user-{number}/created-at", "2025-01-02T03:04:05.678901")
        put(f"users/user-{number}/status", "active")


def check():
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/ephem-vpn", Recursive=True, WithDecryption=True)
    found = {one["Name"].removeprefix("/ephem-vpn/"): one for page in pages for one in page["Parameters"]}
    text = lambda name: found[name]["Value"]
    holders = [name for name, one in found.items() if base64.b64encode(KEY.encode()).decode() == one["Value"] or KEY in one["Value"]]
    assert holders == ["wg/server-private-key"], holders
    assert found["wg/server-private-key"]["Type"] == "SecureString" and text("wg/server-public-key") == PUBLIC
    assert text("master-api-key") == "the-master-key"
    records = {name: json.loads(text(name)) for name in found if name.endswith("/record")}
    assert len(records) == USERS + 1, sorted(found)
    assert {found[name]["Type"] for name in records} == {"SecureString"}
    assert all(len(record["key_sha256"]) == 64 for record in records.values())
    left = [name for name in found if name.split("/")[-1] in ("api-key", "created-at", "status") or name.endswith("-b64")]
    assert left == [], left
    assert not any("old-key-of" in one["Value"] or "bvu_" in one["Value"] for one in found.values())
    print(len(found), "parameters")


{"furnish": furnish, "check": check}[what]()
