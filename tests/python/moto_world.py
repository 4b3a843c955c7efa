"""Furnishes a moto server, then prints as JSON the long-lived key that may assume the role `build`.

moto lets as many calls through unchecked as INITIAL_NO_AUTH_ACTION_COUNT says: the first three here. Everything after
them is signed with the new user's key, so that a wrong signature shows at once.
"""

import json
import sys

import boto3

ANYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def client(service, key_id="none", secret="none"):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )


iam = client("iam")
iam.create_user(UserName="ci")
key = iam.create_access_key(UserName="ci")["AccessKey"]
iam.put_user_policy(UserName="ci", PolicyName="all", PolicyDocument=json.dumps(ANYTHING))

pair = (key["AccessKeyId"], key["SecretAccessKey"])
iam = client("iam", *pair)
role = iam.create_role(RoleName="build", AssumeRolePolicyDocument=json.dumps(ANYTHING))["Role"]
iam.put_role_policy(RoleName="build", PolicyName="all", PolicyDocument=json.dumps(ANYTHING))
s3 = client("s3", *pair)
s3.create_bucket(Bucket="corp-maven")
s3.put_object(Bucket="corp-maven", Key="releases/a/b+c ü.jar", Body=b"from moto")
print(json.dumps({"key_id": pair[0], "secret": pair[1], "role": role["Arn"]}))
