"""botocore under rotation, one thread for each way in: SECONDS NAME=WAY:PLACE...

WAY is `process` (PLACE: a profile), `container` (PLACE: the URI; the token file comes from the environment), `imds`
(PLACE: the address) or `file` (PLACE: path:section). Says `ready` on stderr, starts when the file $BEGIN is there, and prints
for each name how many calls were made and what went wrong.

A long-lived client renews by itself through `process` and `container`. Files and instance metadata are read for each
call: botocore reads a file once, and uses what instance metadata gave past its end on purpose. A session that ended
because this process itself was held up for longer than `HELD_UP` between reading and calling is `late`, not a gap.
"""

import json
import os
import sys
import threading
import time

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    ContainerProvider,
    InstanceMetadataProvider,
    ProcessProvider,
    SharedCredentialProvider,
)
from botocore.exceptions import ClientError
from botocore.utils import InstanceMetadataFetcher

HELD_UP = 0.5
BREATH = 0.05

seconds = float(sys.argv[1])
ways = [argument.split("=", 1) for argument in sys.argv[2:]]
session = botocore.session.Session()
loader = threading.Lock()


def provider(way, place):
    if way == "process":
        config = session.full_config
        return ProcessProvider(profile_name=place, load_config=lambda: config)
    if way == "container":
        environment = dict(os.environ, AWS_CONTAINER_CREDENTIALS_FULL_URI=place)
        return ContainerProvider(environ=environment)
    if way == "imds":
        address = {"ec2_metadata_service_endpoint": place}
        return InstanceMetadataProvider(iam_role_fetcher=InstanceMetadataFetcher(timeout=5, config=address))
    path, section = place.rsplit(":", 1)
    return SharedCredentialProvider(creds_filename=path, profile_name=section)


def client(credentials):
    frozen = credentials.get_frozen_credentials()
    with loader:
        return session.create_client(
            "sts",
            region_name="us-east-1",
            aws_access_key_id=frozen.access_key,
            aws_secret_access_key=frozen.secret_key,
            aws_session_token=frozen.token,
            config=Config(retries={"total_max_attempts": 1}),
        )


def long_lived(credentials):
    own = botocore.session.Session()
    own._credentials = credentials
    config = Config(retries={"total_max_attempts": 1})
    return own.create_client("sts", region_name="us-east-1", config=config)


def work(name, way, place, end, report):
    calls, gaps, late = 0, [], 0
    renews = way in ("process", "container")
    sts = long_lived(provider(way, place).load()) if renews else None
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            caller = sts or client(provider(way, place).load())
            assert ":assumed-role/" in caller.get_caller_identity()["Arn"]
        except ClientError as error:
            held_up = time.monotonic() - begun > HELD_UP
            if held_up and error.response["Error"]["Code"] == "ExpiredToken":
                late += 1
            else:
                gaps.append(str(error))
        except Exception as error:
            gaps.append(f"{type(error).__name__}: {error}")
        calls += 1
        time.sleep(BREATH)
    report[name] = {"calls": calls, "gaps": gaps, "late": late}


report = {}
print("ready", file=sys.stderr, flush=True)
while not os.path.exists(os.environ["BEGIN"]):
    time.sleep(0.02)
end = time.monotonic() + seconds
threads = [
    threading.Thread(target=work, args=(name, *way.split(":", 1), end, report)) for name, way in ways
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(report))
