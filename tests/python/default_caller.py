"""Prints the ARN of whoever the default chain finds, and the method that found it."""

import boto3

session = boto3.Session()
print(session.client("sts").get_caller_identity()["Arn"], session.get_credentials().method)
