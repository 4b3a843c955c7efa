//! The least that a site needs of EC2: to look, to make gateways of its own, to point its own connections at them, and to
//! delete its own.
//!
//! EC2 cannot be told which gateway a connection may be pointed at. Tags are set in the call that makes a gateway and in no
//! other, so whoever has this cannot make anything its own. Actions and condition keys: the service authorization reference
//! of EC2.

use bowline_aws::Region;
use bowline_base::policy::{Document, Statement};

use crate::observed::OWNER_TAG;

/// Lets the site `owner` follow its address in `region` of `account`. An owner of
/// `${aws:PrincipalTag/x509Subject/CN}` makes one role do for many sites: each is the name in its certificate.
#[must_use]
pub fn document(owner: &str, region: &Region, account: &str) -> Document {
    let arn = |kind: &str| format!("arn:{}:ec2:{region}:{account}:{kind}/*", region.partition().id());
    let (gateways, connections) = (arn("customer-gateway"), arn("vpn-connection"));
    let ours = format!("aws:ResourceTag/{OWNER_TAG}");
    Document::new([
        Statement::allow("Look")
            .actions(["ec2:DescribeVpnConnections", "ec2:DescribeCustomerGateways"])
            .resources(["*"])
            .when("StringEquals", "ec2:Region", [region.as_str()]),
        Statement::allow("Create")
            .actions(["ec2:CreateCustomerGateway"])
            .resources([gateways.clone()])
            .when("StringEquals", &format!("aws:RequestTag/{OWNER_TAG}"), [owner])
            .when("ForAllValues:StringEquals", "aws:TagKeys", [OWNER_TAG, "Name"]),
        Statement::allow("TagOnCreate").actions(["ec2:CreateTags"]).resources([gateways.clone()]).when(
            "StringEquals",
            "ec2:CreateAction",
            ["CreateCustomerGateway"],
        ),
        Statement::allow("Point").actions(["ec2:ModifyVpnConnection"]).resources([connections]).when(
            "StringEquals",
            &ours,
            [owner],
        ),
        Statement::allow("Delete").actions(["ec2:DeleteCustomerGateway"]).resources([gateways]).when(
            "StringEquals",
            &ours,
            [owner],
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_is_bound_to_the_owner() {
        let json = document("site-1", &Region::parse("cn-north-1").unwrap(), "111122223333").json();
        let statements = json["Statement"].as_array().unwrap();
        for statement in statements.iter().filter(|one| one["Sid"] != "Look" && one["Sid"] != "TagOnCreate") {
            assert!(statement["Condition"].to_string().contains("site-1"), "{statement}");
            let resource = statement["Resource"].as_str().unwrap();
            assert!(resource.starts_with("arn:aws-cn:ec2:cn-north-1:111122223333:"), "{resource}");
        }
    }
}
