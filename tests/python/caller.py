"""Prints the ARN of whoever the profile given as the first argument is."""

import sys

import boto3

session = boto3.Session(profile_name=sys.argv[1])
print(session.client("sts").get_caller_identity()["Arn"])
