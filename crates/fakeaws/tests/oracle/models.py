#!/usr/bin/env python3
"""Invariant 5: botocore's models decode every answer that the fake gives.

Usage: models.py ENDPOINT ACCESS_KEY_ID SECRET_ACCESS_KEY   (or FAKEAWS_ENDPOINT, FAKEAWS_KEY_ID, FAKEAWS_SECRET)
Prints one line a check that fails, then `N passed, N failed`; exits 1 if any failed.
The fake must have the default accounts, a bucket `maven`, and logins that are approved at once.
"""

import base64
import datetime
import hashlib
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["HOME"] = tempfile.mkdtemp()

import boto3  # noqa: E402  the environment must be clean first
from botocore import UNSIGNED  # noqa: E402
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

sys.dont_write_bytecode = True
from parameters import ssm_checks  # noqa: E402

ARGUMENTS = sys.argv[1:] + [""] * 3
ENDPOINT = ARGUMENTS[0] or os.environ["FAKEAWS_ENDPOINT"]
KEY_ID = ARGUMENTS[1] or os.environ["FAKEAWS_KEY_ID"]
SECRET = ARGUMENTS[2] or os.environ["FAKEAWS_SECRET"]
ACCOUNT = "111122223333"
ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/build"
REDIRECT = "http://127.0.0.1/oauth/callback"
GRANTS = ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"]
DEVICE_GRANT = GRANTS[2]
# One for all clients: it reads each service's model once.
SESSION = boto3.session.Session()

passed, failed = 0, 0


def check(claim, holds, seen=""):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {claim} {seen}")


def fails(claim, code, call, status=None, /, **arguments):
    """The call ends with this error code (and status), as botocore's parser understands it."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        seen = (error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"])
        check(claim, seen[0] == code and status in (None, seen[1]), seen)
        return error
    check(claim, False, answer)
    return None


def client(service, key_id=KEY_ID, secret=SECRET, token=None, region="us-east-1"):
    config = Config(
        retries={"max_attempts": 0, "mode": "standard"},
        read_timeout=5,
        signature_version=UNSIGNED if key_id is None else None,
        s3={"addressing_style": "path"},
    )
    return SESSION.client(
        service,
        region_name=region,
        endpoint_url=ENDPOINT,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret if key_id else None,
        aws_session_token=token,
        config=config,
    )


def fake(path, body=None, method="POST"):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{ENDPOINT}/_fake/{path}", data=data, method=method)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def browse(**parameters):
    """What the browser is redirected to, taken apart."""
    url = f"{ENDPOINT}/authorize?{urllib.parse.urlencode(parameters)}"
    try:
        urllib.request.build_opener(NoRedirect).open(url, timeout=5)
    except urllib.error.HTTPError as answer:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(answer.headers.get("location", "")).query))
    return {}


def oidc_checks():
    oidc = client("sso-oidc", key_id=None)
    registration = oidc.register_client(
        clientName="oracle", clientType="public", scopes=["sso:account:access"], grantTypes=GRANTS, redirectUris=[REDIRECT]
    )
    check("register gives a secret", len(registration["clientSecret"]) > 20)
    check("register gives times", registration["clientSecretExpiresAt"] > registration["clientIdIssuedAt"] > 1e9)
    who = {name: registration[name] for name in ("clientId", "clientSecret")}
    fails("confidential clients are refused", "InvalidClientMetadataException", oidc.register_client, 400, clientName="x", clientType="secret")

    device = oidc.start_device_authorization(startUrl="https://bowline.awsapps.com/start", **who)
    check("device answer is whole", device["userCode"] in device["verificationUriComplete"] and device["expiresIn"] == 600)
    token = oidc.create_token(grantType=DEVICE_GRANT, deviceCode=device["deviceCode"], **who)
    check("device token is whole", token["tokenType"] == "Bearer" and token["expiresIn"] > 0 and token["refreshToken"])
    fails("a device code works once", "InvalidGrantException", oidc.create_token, 400, grantType=DEVICE_GRANT, deviceCode=device["deviceCode"], **who)

    fake("settings", {"approve_after": None})
    device = oidc.start_device_authorization(startUrl="https://bowline.awsapps.com/start", **who)
    poll = dict(grantType=DEVICE_GRANT, deviceCode=device["deviceCode"], **who)
    error = fails("unapproved is pending", "AuthorizationPendingException", oidc.create_token, 400, **poll)
    check("the body names the error", error and error.response.get("error") == "authorization_pending", error and error.response)
    fails("polling at once is too fast", "SlowDownException", oidc.create_token, 400, **poll)
    check("a person approves", fake("approve", {"user_code": device["userCode"]}) == {"decided": 1})
    check("approved", "accessToken" in oidc.create_token(**poll))
    device = oidc.start_device_authorization(startUrl="https://bowline.awsapps.com/start", **who)
    fake("deny", {})
    fails("denied", "AccessDeniedException", oidc.create_token, 400, grantType=DEVICE_GRANT, deviceCode=device["deviceCode"], **who)
    fake("settings", {"approve_after": "0ms"})

    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    redirect = "http://127.0.0.1:45678/oauth/callback"
    ask = dict(
        response_type="code", client_id=who["clientId"], redirect_uri=redirect, state="s t&1",
        code_challenge=challenge, code_challenge_method="S256", scopes="sso:account:access",
    )
    back = browse(**ask)
    check("state comes back", back.get("state") == "s t&1", back)
    redeem = dict(grantType="authorization_code", redirectUri=redirect, codeVerifier=verifier, **who)
    token = oidc.create_token(code=back["code"], **redeem)
    check("code gives tokens", token["accessToken"] and token["refreshToken"])
    fails("a code works once", "InvalidGrantException", oidc.create_token, 400, code=back["code"], **redeem)
    fails("the verifier must fit", "InvalidGrantException", oidc.create_token, 400, code=browse(**ask)["code"], **{**redeem, "codeVerifier": "w" * 64})
    fails("the port must fit", "InvalidGrantException", oidc.create_token, 400, code=browse(**ask)["code"], **{**redeem, "redirectUri": REDIRECT})
    check("unregistered scopes are refused", browse(**{**ask, "scopes": "admin"}).get("error") == "invalid_scope")
    check("a foreign redirect gets no code", browse(**{**ask, "redirect_uri": "http://evil.example/oauth/callback"}) == {})

    renew = dict(grantType="refresh_token", **who)
    second = oidc.create_token(refreshToken=token["refreshToken"], **renew)
    check("refresh tokens rotate", second["refreshToken"] != token["refreshToken"])
    fails("a spent refresh token is refused", "InvalidGrantException", oidc.create_token, 400, refreshToken=token["refreshToken"], **renew)
    fails("and ends the family", "InvalidGrantException", oidc.create_token, 400, refreshToken=second["refreshToken"], **renew)
    fails("its access token too", "UnauthorizedException", client("sso", key_id=None).list_accounts, 401, accessToken=second["accessToken"])
    fails("wrong client secret", "InvalidClientException", oidc.create_token, 401, **{**renew, "clientSecret": "x", "refreshToken": "x"})
    fails("unknown grant", "UnsupportedGrantTypeException", oidc.create_token, 400, **{**renew, "grantType": "password"})
    fake("expire", {"what": "registrations"})
    fails("an expired registration", "InvalidClientException", oidc.create_token, 401, refreshToken="x", **renew)


def sign_in():
    oidc = client("sso-oidc", key_id=None)
    who = oidc.register_client(clientName="oracle", clientType="public", scopes=["sso:account:access"])
    who = {name: who[name] for name in ("clientId", "clientSecret")}
    device = oidc.start_device_authorization(startUrl="https://bowline.awsapps.com/start", **who)
    return oidc.create_token(grantType=DEVICE_GRANT, deviceCode=device["deviceCode"], **who)["accessToken"]


def portal_checks():
    sso, token = client("sso", key_id=None), sign_in()
    accounts = sso.list_accounts(accessToken=token)["accountList"]
    check("accounts", accounts[0]["accountId"] == ACCOUNT and "@" in accounts[0]["emailAddress"], accounts)
    pages = sso.get_paginator("list_account_roles").paginate(accessToken=token, accountId=ACCOUNT, PaginationConfig={"PageSize": 1})
    roles = [[role["roleName"] for role in page["roleList"]] for page in pages]
    check("roles, paged", roles == [["build"], ["admin"]], roles)
    role = sso.get_role_credentials(accessToken=token, accountId=ACCOUNT, roleName="build")["roleCredentials"]
    check("expiration is in milliseconds", 0 < role["expiration"] / 1000 - time.time() < 4000, role["expiration"])
    sts = client("sts", role["accessKeyId"], role["secretAccessKey"], role["sessionToken"])
    arn = sts.get_caller_identity()["Arn"]
    check("the role's ARN", arn.startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_build_"), arn)
    fails("unassigned role", "ForbiddenException", sso.get_role_credentials, 403, accessToken=token, accountId=ACCOUNT, roleName="root")
    fails("bad token", "UnauthorizedException", sso.list_accounts, 401, accessToken="x")
    fake("settings", {"role_lifetime": "1s"})
    role = sso.get_role_credentials(accessToken=token, accountId=ACCOUNT, roleName="build")["roleCredentials"]
    fake("settings", {"role_lifetime": "1h"})
    sts = client("sts", role["accessKeyId"], role["secretAccessKey"], role["sessionToken"])
    s3 = client("s3", role["accessKeyId"], role["secretAccessKey"], role["sessionToken"])
    check("a one-second session works", sts.get_caller_identity()["Account"] == ACCOUNT)
    time.sleep(max(0, role["expiration"] / 1000 - time.time()) + 0.01)
    fails("and ends: STS", "ExpiredToken", sts.get_caller_identity, 403)
    fails("and ends: S3", "ExpiredToken", s3.list_objects_v2, 400, Bucket="maven")
    sso.logout(accessToken=token)
    fails("logged out", "UnauthorizedException", sso.list_accounts, 401, accessToken=token)


def sts_checks():
    sts = client("sts")
    me = sts.get_caller_identity()
    check("user identity", me["Arn"].startswith(f"arn:aws:iam::{ACCOUNT}:user/") and me["UserId"].startswith("AIDA"), me)
    check("request id", len(me["ResponseMetadata"]["RequestId"]) == 36)
    answer = sts.assume_role(RoleArn=ROLE_ARN, RoleSessionName="oracle", DurationSeconds=900)
    keys = answer["Credentials"]
    left = keys["Expiration"] - datetime.datetime.now(datetime.timezone.utc)
    check("duration is obeyed", 880 < left.total_seconds() <= 901, left)
    check("assumed role user", answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/build/oracle")
    session = client("sts", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    check("session identity", session.get_caller_identity()["Arn"].endswith("assumed-role/build/oracle"))
    chained = dict(RoleArn=ROLE_ARN, RoleSessionName="chained")
    check("chaining", session.assume_role(**chained)["AssumedRoleUser"]["Arn"].endswith("/chained"))
    fails("chaining over an hour", "ValidationError", session.assume_role, 400, DurationSeconds=7200, **chained)
    fails("too short", "ValidationError", lambda: sts.assume_role(RoleArn=ROLE_ARN, RoleSessionName="bad name"), 400)
    check("session token", sts.get_session_token()["Credentials"]["AccessKeyId"].startswith("ASIA"))
    fails("wrong secret", "SignatureDoesNotMatch", client("sts", secret="x" * 40).get_caller_identity, 403)
    fails("unknown key", "InvalidClientTokenId", client("sts", "AKIAUNKNOWN").get_caller_identity, 403)
    fails("foreign token", "InvalidClientTokenId", client("sts", keys["AccessKeyId"], keys["SecretAccessKey"], "x").get_caller_identity, 403)
    fake("settings", {"denied_roles": ["admin"], "web_identity_tokens": ["jwt-1"]})
    fails("denied role", "AccessDenied", sts.assume_role, 403, RoleArn=ROLE_ARN.replace("build", "admin"), RoleSessionName="oracle")
    web = client("sts", key_id=None)
    ask = dict(RoleArn=ROLE_ARN, RoleSessionName="web")
    check("web identity", web.assume_role_with_web_identity(WebIdentityToken="jwt-1", **ask)["Credentials"]["SessionToken"])
    fails("foreign web identity", "InvalidIdentityToken", web.assume_role_with_web_identity, 400, WebIdentityToken="jwt-22", **ask)
    fake("settings", {"denied_roles": [], "web_identity_tokens": []})
    fake("settings", {"clock_skew": "10m"})
    error = fails("skew", "SignatureDoesNotMatch", sts.get_caller_identity, 403)
    check("skew is explained", error and "Signature expired" in error.response["Error"]["Message"])
    fails("skew in S3", "RequestTimeTooSkewed", lambda: client("s3").get_object(Bucket="maven", Key="none"), 403)
    fake("settings", {"clock_skew": "0ms"})
    fake("settings", {"propagation_delay": "1h"})
    keys = sts.assume_role(RoleArn=ROLE_ARN, RoleSessionName="early")["Credentials"]
    early = client("sts", keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
    fails("too new to be known", "InvalidClientTokenId", early.get_caller_identity, 403)
    fake("settings", {"propagation_delay": "0ms"})


def s3_checks():
    s3 = client("s3")
    key, body = "org/a b/é+(1)%20&=.jar", b"0123456789" * 1000
    put = s3.put_object(Bucket="maven", Key=key, Body=body, Metadata={"colour": "blue"}, ContentType="application/java-archive")
    etag = '"' + hashlib.md5(body).hexdigest() + '"'
    check("ETag is the MD5", put["ETag"] == etag, put["ETag"])
    got = s3.get_object(Bucket="maven", Key=key)
    check("body comes back", got["Body"].read() == body)
    check("headers come back", (got["ETag"], got["ContentType"], got["Metadata"], got["AcceptRanges"]) == (etag, "application/java-archive", {"colour": "blue"}, "bytes"), got)
    head = s3.head_object(Bucket="maven", Key=key)
    check("HEAD", (head["ContentLength"], head["ETag"], head["LastModified"]) == (len(body), etag, got["LastModified"]), head)
    for text, expected, shown in [("bytes=0-3", b"0123", "bytes 0-3/10000"), ("bytes=-2", b"89", "bytes 9998-9999/10000"), ("bytes=9995-", b"56789", "bytes 9995-9999/10000")]:
        part = s3.get_object(Bucket="maven", Key=key, Range=text)
        check(f"range {text}", part["Body"].read() == expected and part["ContentRange"] == shown, part["ContentRange"])
    fails("range past the end", "InvalidRange", s3.get_object, 416, Bucket="maven", Key=key, Range="bytes=10000-")
    fails("unchanged", "304", s3.get_object, 304, Bucket="maven", Key=key, IfNoneMatch=etag)
    fails("unchanged since", "304", s3.get_object, 304, Bucket="maven", Key=key, IfModifiedSince=got["LastModified"])
    fails("another", "PreconditionFailed", s3.get_object, 412, Bucket="maven", Key=key, IfMatch='"other"')
    old = got["LastModified"] - datetime.timedelta(days=1)
    fails("changed since", "PreconditionFailed", s3.get_object, 412, Bucket="maven", Key=key, IfUnmodifiedSince=old)
    check("changed", s3.get_object(Bucket="maven", Key=key, IfNoneMatch='"other"')["ContentLength"] == len(body))
    fails("put if absent", "PreconditionFailed", s3.put_object, 412, Bucket="maven", Key=key, Body=b"", IfNoneMatch="*")
    fails("missing key", "NoSuchKey", s3.get_object, 404, Bucket="maven", Key="none")
    fails("missing key, HEAD", "404", s3.head_object, 404, Bucket="maven", Key="none")
    fails("missing bucket", "NoSuchBucket", s3.get_object, 404, Bucket="nowhere", Key="none")
    fails("unknown key id", "InvalidAccessKeyId", client("s3", "AKIAUNKNOWN").get_object, 403, Bucket="maven", Key=key)
    fails("wrong secret", "SignatureDoesNotMatch", client("s3", secret="x" * 40).get_object, 403, Bucket="maven", Key=key)
    fails("unsigned", "AccessDenied", client("s3", key_id=None).get_object, 403, Bucket="maven", Key=key)
    fake("buckets", {"name": "oracle-eu", "region": "eu-west-1", "list_allowed": False})
    europe = client("s3", region="eu-west-1")
    fails("boto3 finds the right region", "AccessDenied", s3.get_object, 403, Bucket="oracle-eu", Key="none")
    refused = fake("counts", method="GET")["calls"].get("s3.GetObject.400.AuthorizationHeaderMalformed")
    check("because it was told", refused == 1, refused)
    fails("missing key without ListBucket", "AccessDenied", europe.get_object, 403, Bucket="oracle-eu", Key="none")
    fails("list without ListBucket", "AccessDenied", europe.list_objects_v2, 403, Bucket="oracle-eu")
    check("location", europe.get_bucket_location(Bucket="oracle-eu")["LocationConstraint"] == "eu-west-1")
    check("buckets", {"maven", "oracle-eu"} <= {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]})
    check("HEAD bucket", s3.head_bucket(Bucket="maven")["BucketRegion"] == "us-east-1")
    list_checks(s3)
    s3.delete_object(Bucket="maven", Key=key)
    s3.delete_object(Bucket="maven", Key=key)
    fails("deleted", "NoSuchKey", s3.get_object, 404, Bucket="maven", Key=key)


def list_checks(s3):
    names = ["l/a.txt", "l/a/1", "l/a/2", "l/b c/é", "l/z&<>", "l/é"]
    for name in names:
        s3.put_object(Bucket="maven", Key=name, Body=name.encode())
    listed = s3.list_objects_v2(Bucket="maven", Prefix="l/")
    check("keys in byte order", [entry["Key"] for entry in listed["Contents"]] == names, listed["Contents"])
    check("entries are whole", listed["Contents"][0]["Size"] == 7 and listed["Contents"][0]["ETag"].startswith('"'))
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="maven", Prefix="l/", PaginationConfig={"PageSize": 2}))
    check("pages", [[entry["Key"] for entry in page["Contents"]] for page in pages] == [names[:2], names[2:4], names[4:]])
    folded = list(s3.get_paginator("list_objects_v2").paginate(Bucket="maven", Prefix="l/", Delimiter="/", PaginationConfig={"PageSize": 2}))
    prefixes = [entry["Prefix"] for page in folded for entry in page.get("CommonPrefixes", [])]
    check("common prefixes once", prefixes == ["l/a/", "l/b c/"], prefixes)
    after = s3.list_objects_v2(Bucket="maven", Prefix="l/", StartAfter="l/b c/é", MaxKeys=1)
    check("start-after", [entry["Key"] for entry in after["Contents"]] == ["l/z&<>"] and after["IsTruncated"], after)
    check("empty", s3.list_objects_v2(Bucket="maven", Prefix="nothing/")["KeyCount"] == 0)


def fault_checks():
    s3, sts, sso = client("s3"), client("sts"), client("sso", key_id=None)
    s3.put_object(Bucket="maven", Key="fault", Body=b"x" * 1000)
    get = dict(Bucket="maven", Key="fault")
    fake("faults", [{"at": at, "effect": "throttle", "times": 1} for at in ("s3.GetObject", "sts.*", "sso.*")])
    fails("S3 throttles", "SlowDown", s3.get_object, 503, **get)
    fails("STS throttles", "Throttling", sts.get_caller_identity, 400)
    fails("the portal throttles", "TooManyRequestsException", sso.list_accounts, 429, accessToken="x")
    oidc = client("sso-oidc", key_id=None)
    fake("faults", {"at": "sso-oidc.*", "effect": "error", "status": 400, "code": "InvalidGrantException", "times": 1})
    fails("an error on order", "InvalidGrantException", oidc.create_token, 400, clientId="x", clientSecret="x", grantType="refresh_token")
    fake("faults", {"at": "s3.GetObject", "effect": "truncate", "bytes": 10, "times": 1})
    try:
        s3.get_object(**get)["Body"].read()
        check("a cut body is noticed", False)
    except Exception as error:  # noqa: BLE001  urllib3 and botocore word it in several classes
        check("a cut body is noticed", "IncompleteRead" in repr(error) or "Protocol" in repr(error), repr(error))
    fake("faults", {"at": "sts.GetCallerIdentity", "effect": "reset", "times": 1})
    try:
        sts.get_caller_identity()
        check("a reset is noticed", False)
    except Exception as error:  # noqa: BLE001
        check("a reset is noticed", "Connection" in repr(error), repr(error))
    check("and is over", sts.get_caller_identity()["Account"] == ACCOUNT)
    counts = fake("counts", method="GET")
    check("counted", counts["calls"].get("s3.GetObject.fault.truncate") == 1 and counts["peaks"]["s3.GetObject"] >= 1, counts)
    check("by object", counts["objects"].get("s3.GetObject maven/fault") == 2, counts["objects"])


def iam_checks():
    iam, boundary = client("iam"), f"arn:aws:iam::{ACCOUNT}:policy/oracle-bound"
    anything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    made = iam.create_policy(PolicyName="oracle-bound", PolicyDocument=json.dumps(anything))["Policy"]
    check("managed policy", made["Arn"] == boundary and made["PolicyId"].startswith("ANPA"), made)
    name = "dirk-bedrock+1@x"
    tags = [{"Key": "owner", "Value": "dirk mgr"}, {"Key": "empty", "Value": ""}]
    user = iam.create_user(UserName=name, Path="/team/", Tags=tags, PermissionsBoundary=boundary)["User"]
    check("user", user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/{name}" and user["UserId"].startswith("AIDA"), user)
    check("boundary", user["PermissionsBoundary"] == {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": boundary}, user)
    age = datetime.datetime.now(datetime.timezone.utc) - user["CreateDate"]
    check("create date", abs(age.total_seconds()) < 60, age)
    by_key = lambda found: sorted((tag["Key"], tag["Value"]) for tag in found)  # noqa: E731
    check("tags come back", by_key(iam.get_user(UserName=name)["User"]["Tags"]) == by_key(tags))
    iam.tag_user(UserName=name, Tags=[{"Key": "Owner", "Value": "eve"}])
    pages = list(iam.get_paginator("list_user_tags").paginate(UserName=name, PaginationConfig={"PageSize": 1}))
    check("tags, paged and overwritten", [by_key(page["Tags"]) for page in pages] == [[("empty", "")], [("Owner", "eve")]], pages)
    iam.untag_user(UserName=name, TagKeys=["empty"])
    check("untagged", by_key(iam.list_user_tags(UserName=name)["Tags"]) == [("Owner", "eve")])
    keys_checks(iam, name)
    iam.put_user_policy(UserName=name, PolicyName="in", PolicyDocument=json.dumps(anything))
    check("inline policy", iam.get_user_policy(UserName=name, PolicyName="in")["PolicyDocument"] == anything)
    check("policy names", iam.list_user_policies(UserName=name)["PolicyNames"] == ["in"])
    fails("malformed", "MalformedPolicyDocument", iam.put_user_policy, 400, UserName=name, PolicyName="x", PolicyDocument="{}")
    iam.attach_user_policy(UserName=name, PolicyArn=boundary)
    attached = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    check("attached", attached == [{"PolicyName": "oracle-bound", "PolicyArn": boundary}], attached)
    fails("in use", "DeleteConflict", iam.delete_user, 409, UserName=name)
    iam.detach_user_policy(UserName=name, PolicyArn=boundary)
    iam.delete_user_policy(UserName=name, PolicyName="in")
    users = [user["UserName"] for page in iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1}) for user in page["Users"]]
    check("users, paged", users == sorted(users) and name in users and len(users) > 1, users)
    check("users by path", [user["UserName"] for user in iam.list_users(PathPrefix="/team/")["Users"]] == [name])
    fails("exists", "EntityAlreadyExists", iam.create_user, 409, UserName=name.upper())
    iam.delete_user(UserName=name)
    fails("gone", "NoSuchEntity", iam.get_user, 404, UserName=name)
    fake("faults", {"at": "iam.*", "effect": "throttle", "times": 1})
    fails("IAM throttles", "Throttling", iam.list_users, 400)
    manager_checks()


def keys_checks(iam, name):
    first, second = (iam.create_access_key(UserName=name)["AccessKey"] for _ in range(2))
    fails("two keys", "LimitExceeded", iam.create_access_key, 409, UserName=name)
    pages = iam.get_paginator("list_access_keys").paginate(UserName=name, PaginationConfig={"PageSize": 1})
    listed = [[key["AccessKeyId"] for key in page["AccessKeyMetadata"]] for page in pages]
    check("keys, paged", sorted(listed) == sorted([[first["AccessKeyId"]], [second["AccessKeyId"]]]), listed)
    owner = iam.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])
    check("never used", owner["UserName"] == name and "LastUsedDate" not in owner["AccessKeyLastUsed"], owner)
    pair = (first["AccessKeyId"], first["SecretAccessKey"])
    check("a key is its user", client("sts", *pair).get_caller_identity()["Arn"].endswith(f"user/team/{name}"))
    used = iam.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])["AccessKeyLastUsed"]
    check("used", (used["ServiceName"], used["Region"]) == ("sts", "us-east-1") and used["LastUsedDate"], used)
    session = client("sts", *pair).get_session_token(DurationSeconds=129600)["Credentials"]
    temporary = (session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"])
    check("a session is the user", client("sts", *temporary).get_caller_identity()["Arn"].endswith(name))
    fails("and calls no IAM", "InvalidClientTokenId", client("iam", *temporary).get_user, 403)
    fails("nor GetSessionToken", "AccessDenied", client("sts", *temporary).get_session_token, 403)
    iam.update_access_key(UserName=name, AccessKeyId=first["AccessKeyId"], Status="Inactive")
    fails("inactive", "InvalidClientTokenId", client("sts", *pair).get_caller_identity, 403)
    for key in (first, second):
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    fails("no such key", "NoSuchEntity", iam.delete_access_key, 404, UserName=name, AccessKeyId=first["AccessKeyId"])


def manager_checks():
    mine = {"Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::*:user/dirk-*"}
    user = fake("users", {"name": "dirk-mgr", "policies": [{"Version": "2012-10-17", "Statement": [mine]}]})
    manager = client("iam", user["access_key_id"], user["secret_access_key"])
    fails("outside", "AccessDenied", manager.create_user, 403, UserName="alice")
    fake("settings", {"propagation_delay": "1h"})
    manager.create_user(UserName="dirk-early")
    fails("too new to be seen", "NoSuchEntity", manager.get_user, 404, UserName="dirk-early")
    fake("settings", {"propagation_delay": "0ms"})


def ec2_checks():
    ec2 = client("ec2")
    wanted = dict(
        Type="ipsec.1", IpAddress="198.51.100.7", BgpAsn=65010, DeviceName="bowline/oracle",
        TagSpecifications=[{"ResourceType": "customer-gateway", "Tags": [{"Key": "bowline:owner", "Value": "oracle"}]}],
    )
    dry = fails("a dry run", "DryRunOperation", ec2.create_customer_gateway, 412, DryRun=True, **wanted)
    check("says so", dry and "DryRun flag is set" in dry.response["Error"]["Message"])
    made = ec2.create_customer_gateway(**wanted)["CustomerGateway"]
    check("gateway", (made["State"], made["IpAddress"], made["BgpAsn"], made["DeviceName"]) == ("available", "198.51.100.7", "65010", "bowline/oracle"), made)
    check("with tags", made["Tags"] == [{"Key": "bowline:owner", "Value": "oracle"}], made)
    check("asked twice, made once", ec2.create_customer_gateway(**wanted)["CustomerGateway"] == made)
    other = ec2.create_customer_gateway(Type="ipsec.1", PublicIp="198.51.100.8", BgpAsnExtended=4200000000)["CustomerGateway"]
    check("four bytes", other["BgpAsnExtended"] == "4200000000" and "BgpAsn" not in other and "Tags" not in other, other)
    fails("two numbers", "InvalidParameterCombination", ec2.create_customer_gateway, 400, BgpAsn=1, BgpAsnExtended=4200000000, Type="ipsec.1", IpAddress="198.51.100.9")
    fails("no address", "MissingParameter", ec2.create_customer_gateway, 400, Type="ipsec.1")
    fails("bad address", "InvalidParameterValue", ec2.create_customer_gateway, 400, Type="ipsec.1", IpAddress="here")
    one, two = made["CustomerGatewayId"], other["CustomerGatewayId"]
    vpn = fake("vpn-connections", {"customer_gateway": one, "target": "tgw-1", "tags": {"bowline:owner": "oracle"}})["id"]
    seen = ec2.describe_vpn_connections(VpnConnectionIds=[vpn])["VpnConnections"][0]
    check("connection", (seen["State"], seen["CustomerGatewayId"], seen["TransitGatewayId"]) == ("available", one, "tgw-1"), seen)
    check("configuration", "<pre_shared_key>" in seen["CustomerGatewayConfiguration"])
    check("telemetry", [tunnel["Status"] for tunnel in seen["VgwTelemetry"]] == ["UP", "UP"] and seen["VgwTelemetry"][0]["LastStatusChange"])
    check("tunnels", [tunnel["StartupAction"] for tunnel in seen["Options"]["TunnelOptions"]] == ["add", "add"], seen["Options"])
    tagged = [{"Name": "tag:bowline:owner", "Values": ["oracle"]}]
    check("by tag", [found["VpnConnectionId"] for found in ec2.describe_vpn_connections(Filters=tagged)["VpnConnections"]] == [vpn])
    fails("in use", "IncorrectState", ec2.delete_customer_gateway, 400, CustomerGatewayId=one)
    fake("settings", {"vpn": {"modify_time": "1h", "flip": "late"}})
    changed = ec2.modify_vpn_connection(VpnConnectionId=vpn, CustomerGatewayId=two)["VpnConnection"]
    check("modifying", (changed["State"], changed["CustomerGatewayId"]) == ("modifying", one), changed)
    check("no configuration then", "CustomerGatewayConfiguration" not in changed)
    fails("one change at a time", "IncorrectState", ec2.modify_vpn_connection, 400, VpnConnectionId=vpn, CustomerGatewayId=one)
    fails("the new one is in use too", "IncorrectState", ec2.delete_customer_gateway, 400, CustomerGatewayId=two)
    fails("one end only", "InvalidParameterCombination", ec2.modify_vpn_connection, 400, VpnConnectionId=vpn, CustomerGatewayId=two, VpnGatewayId="vgw-1")
    fails("no such connection", "InvalidVpnConnectionID.NotFound", ec2.describe_vpn_connections, 400, VpnConnectionIds=["vpn-0"])
    spare = ec2.create_customer_gateway(Type="ipsec.1", IpAddress="198.51.100.10")["CustomerGateway"]["CustomerGatewayId"]
    ec2.create_tags(Resources=[spare], Tags=[{"Key": "Name", "Value": "spare"}])
    found = ec2.describe_customer_gateways(Filters=[{"Name": "tag:Name", "Values": ["spare"]}])["CustomerGateways"]
    check("tagged later", [gateway["CustomerGatewayId"] for gateway in found] == [spare], found)
    ec2.delete_customer_gateway(CustomerGatewayId=spare)
    check("deleted is listed", ec2.describe_customer_gateways(CustomerGatewayIds=[spare])["CustomerGateways"][0]["State"] == "deleted")
    fails("deleted twice", "InvalidCustomerGatewayID.NotFound", ec2.delete_customer_gateway, 400, CustomerGatewayId=spare)
    fake("settings", {"vpn": {"gateway_quota": 2}})
    fails("quota", "CustomerGatewayLimitExceeded", ec2.create_customer_gateway, 400, Type="ipsec.1", IpAddress="198.51.100.11")
    fake("settings", {"vpn": {"gateway_quota": 50, "gateway_delay": "1h"}})
    hidden = ec2.create_customer_gateway(Type="ipsec.1", IpAddress="198.51.100.12")["CustomerGateway"]["CustomerGatewayId"]
    fails("too new to be seen", "InvalidCustomerGatewayID.NotFound", ec2.describe_customer_gateways, 400, CustomerGatewayIds=[hidden])
    fails("unknown key", "AuthFailure", client("ec2", "AKIAUNKNOWN").describe_customer_gateways, 401)
    fake("settings", {"clock_skew": "10m"})
    fails("skew", "RequestExpired", ec2.describe_customer_gateways, 400)
    fake("settings", {"clock_skew": "0ms"})
    fake("faults", {"at": "ec2.*", "effect": "throttle", "times": 1})
    fails("EC2 throttles", "RequestLimitExceeded", ec2.describe_vpn_connections, 503)
    site_checks(vpn, one, two)


def site_checks(vpn, one, two):
    """The reference's policy for one site: its own gateways and connections, and nothing of others."""
    mine = {"StringEquals": {"aws:ResourceTag/bowline:owner": "oracle"}}
    born = {"StringEquals": {"aws:RequestTag/bowline:owner": "oracle"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["bowline:owner", "Name"]}}
    statements = [
        {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
        {"Effect": "Allow", "Action": "ec2:CreateCustomerGateway", "Resource": "*", "Condition": born},
        {"Effect": "Allow", "Action": "ec2:CreateTags", "Resource": "*", "Condition": {"StringEquals": {"ec2:CreateAction": "CreateCustomerGateway"}}},
        {"Effect": "Allow", "Action": ["ec2:ModifyVpnConnection", "ec2:DeleteCustomerGateway"], "Resource": "*", "Condition": mine},
    ]
    user = fake("users", {"name": "site-oracle", "policies": [{"Version": "2012-10-17", "Statement": statements}]})
    site = client("ec2", user["access_key_id"], user["secret_access_key"])
    fails("may change its own", "DryRunOperation", site.modify_vpn_connection, 412, VpnConnectionId=vpn, CustomerGatewayId=two, DryRun=True)
    fails("may delete its own", "DryRunOperation", site.delete_customer_gateway, 412, CustomerGatewayId=one, DryRun=True)
    fails("not another's", "UnauthorizedOperation", site.delete_customer_gateway, 403, CustomerGatewayId=two)
    fails("makes none without its tag", "UnauthorizedOperation", site.create_customer_gateway, 403, Type="ipsec.1", IpAddress="198.51.100.20")
    fails("takes none over", "UnauthorizedOperation", site.create_tags, 403, Resources=[two], Tags=[{"Key": "bowline:owner", "Value": "oracle"}])


def parameter_checks():
    ssm_checks(check, fails, client, fake)


for part in (oidc_checks, portal_checks, sts_checks, iam_checks, ec2_checks, parameter_checks, s3_checks, fault_checks):
    try:
        part()
    except Exception as error:  # noqa: BLE001  the other parts still run
        check(part.__name__, False, repr(error))
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
