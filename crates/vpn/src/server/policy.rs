//! The least that the server needs of AWS: its own parameters, and the key that seals them through Parameter Store alone.

use bowline_aws::Partition;
use bowline_base::policy::{Document, Statement};

/// Which parameters.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Which AWS.
    pub partition: Partition,
    /// `None` is any.
    pub region: Option<String>,
    /// `None` is any.
    pub account: Option<String>,
    /// With or without slashes around it.
    pub prefix: String,
    /// The key that seals the parameters, where it is not AWS's own.
    pub kms_key: Option<String>,
}

/// Lets the server and `keygen` read, list, write and delete below the prefix, and nothing else.
#[must_use]
pub fn of_store(scope: &Scope) -> Document {
    let (partition, region) = (scope.partition.id(), scope.region.as_deref().unwrap_or("*"));
    let (account, prefix) = (scope.account.as_deref().unwrap_or("*"), scope.prefix.trim_matches('/'));
    let folder = format!("arn:{partition}:ssm:{region}:{account}:parameter/{prefix}");
    let all = format!("{folder}/*");
    let key = scope.kms_key.clone().unwrap_or_else(|| format!("arn:{partition}:kms:{region}:{account}:key/*"));
    let suffix = if scope.partition == Partition::China { "amazonaws.com.cn" } else { "amazonaws.com" };
    Document::new([
        Statement::allow("ListUsers").actions(["ssm:GetParametersByPath"]).resources([folder, all.clone()]),
        Statement::allow("KeepUsers")
            .actions(["ssm:GetParameter", "ssm:PutParameter", "ssm:DeleteParameter", "ssm:DeleteParameters"])
            .resources([all.clone()]),
        Statement::allow("OpenSealedParameters")
            .actions(["kms:Decrypt", "kms:Encrypt"])
            .resources([key])
            .when("StringLike", "kms:ViaService", [format!("ssm.{region}.{suffix}")])
            .when("StringLike", "kms:EncryptionContext:PARAMETER_ARN", [all]),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below_the_prefix_is_opened() {
        let scope = Scope {
            partition: Partition::Aws,
            region: Some("eu-central-1".to_owned()),
            account: Some("111122223333".to_owned()),
            prefix: "/ephem-vpn/".to_owned(),
            kms_key: None,
        };
        let json = of_store(&scope).json();
        let all = "arn:aws:ssm:eu-central-1:111122223333:parameter/ephem-vpn/*";
        assert_eq!(json["Statement"][1]["Resource"], all);
        assert_eq!(json["Statement"][2]["Condition"]["StringLike"]["kms:ViaService"], "ssm.eu-central-1.amazonaws.com");
        assert_eq!(json["Statement"][2]["Condition"]["StringLike"]["kms:EncryptionContext:PARAMETER_ARN"], all);
    }
}
