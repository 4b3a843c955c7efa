"""A hand-made VPN at 198.51.100.1 in moto; prints its ids as JSON."""

import json
import sys

import boto3

ec2 = boto3.client(
    "ec2",
    endpoint_url=sys.argv[1],
    region_name="eu-central-1",
    aws_access_key_id=sys.argv[2],
    aws_secret_access_key=sys.argv[3],
)
gateway = ec2.create_customer_gateway(Type="ipsec.1", IpAddress="198.51.100.1", BgpAsn=65000)
gateway = gateway["CustomerGateway"]["CustomerGatewayId"]
side = ec2.create_vpn_gateway(Type="ipsec.1")["VpnGateway"]["VpnGatewayId"]
vpn = ec2.create_vpn_connection(Type="ipsec.1", CustomerGatewayId=gateway, VpnGatewayId=side)
print(json.dumps({"gateway": gateway, "vpn": vpn["VpnConnection"]["VpnConnectionId"]}))
