"""botocore's own SSO, as any program uses it that knows nothing of Bowline: PROFILE SECONDS.

Signs in from ~/.aws/sso/cache again and again, each time as a new session, and prints how many calls it made and how
many times it tried to refresh the token by itself. Its limits are those of botocore, 600 times shorter, as are the
lives of the tokens in the story that runs this.
"""

import json
import sys
import time

import botocore.session
from botocore import tokens

SCALE = 600

tokens.SSOTokenProvider._REFRESH_WINDOW /= SCALE
refreshing = tokens.DeferredRefreshableToken
refreshing._advisory_refresh_timeout /= SCALE
refreshing._mandatory_refresh_timeout /= SCALE

report = {"calls": 0, "refreshes": 0}
attempt = tokens.SSOTokenProvider._attempt_create_token


def counted(self, token):
    report["refreshes"] += 1
    return attempt(self, token)


tokens.SSOTokenProvider._attempt_create_token = counted

profile, seconds = sys.argv[1], float(sys.argv[2])
end = time.monotonic() + seconds
while time.monotonic() < end:
    session = botocore.session.Session(profile=profile)
    client = session.create_client("sts")
    assert ":assumed-role/" in client.get_caller_identity()["Arn"]
    report["calls"] += 1
    time.sleep(0.5)
print(json.dumps(report))
