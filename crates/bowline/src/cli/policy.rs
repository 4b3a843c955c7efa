//! `policy …`: a subcommand a part.

use bowline_aws::{Partition, Region};
use bowline_credentials::policy::{account, bedrock::Model};
use clap::{Args, Subcommand, ValueEnum};

use super::{PolicyAdmin, PolicyLambda, PolicyNamespace};

/// `policy …`
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// What a program needs to have Bedrock's models answer
    #[command(
        after_help = "A model that begins with us., eu., apac., jp., au., us-gov. or global. is a cross-region inference profile; `*` stands for anything.\n\nExamples:\n  bowline policy bedrock --model anthropic.claude-3-haiku-20240307-v1:0 --region eu-central-1\n  bowline policy bedrock --model 'eu.amazon.nova-*' --region eu-central-1 --account 111122223333"
    )]
    Bedrock(PolicyBedrock),
    /// What the proxy needs to read its repositories
    #[command(after_help = "Example:\n  bowline policy artifacts --from s3://corp-maven/releases")]
    Artifacts(PolicyArtifacts),
    /// What a site needs of EC2 to have its VPN follow its address
    #[command(
        after_help = "One role for many sites: --owner '${aws:PrincipalTag/x509Subject/CN}', each site the name in its certificate.\nWho may become the role: bowline policy trust roles-anywhere.\n\nExample:\n  bowline policy gateway --owner site-1 --region eu-central-1 --account 111122223333"
    )]
    Gateway(PolicyGateway),
    /// What a manager needs to make users in its namespace and to hand out their credentials
    #[command(
        after_help = "Examples:\n  bowline policy admin dirk --account 111122223333 > policy.json\n  bowline policy admin dirk --style iam-sorry"
    )]
    Admin(PolicyAdmin),
    /// What an owner needs to hand out the credentials of users that were given to it
    #[command(after_help = "Example:\n  bowline policy refresh dirk --account 111122223333")]
    Refresh(PolicyNamespace),
    /// What a role needs to deploy Lambda functions with buckets and tables, all named after the namespace
    #[command(after_help = "Example:\n  bowline policy lambda dirk --account 111122223333")]
    Lambda(PolicyLambda),
    /// What the VPN server needs to keep its users in Parameter Store
    #[command(
        after_help = "Example:\n  bowline policy vpn --store ssm:/ephem-vpn --account 111122223333 --region us-east-1"
    )]
    Vpn(PolicyVpn),
    /// Who may become the role: its trust document
    #[command(subcommand)]
    Trust(Trust),
}

/// `policy bedrock`
#[derive(Debug, Args)]
pub(crate) struct PolicyBedrock {
    /// Model or inference profile, by id; repeat for several [default: every one]
    #[arg(long = "model", value_name = "ID", value_parser = Model::parse)]
    pub(crate) models: Vec<Model>,
    /// Region that the program calls; repeat for several [default: every one]
    #[arg(long = "region", value_name = "REGION", value_parser = Region::parse)]
    pub(crate) regions: Vec<Region>,
    /// Account whose inference profiles are meant [default: any]
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) account: Option<String>,
    /// Which AWS [default: that of the first region]
    #[arg(long, value_enum)]
    pub(crate) partition: Option<PartitionName>,
}

/// `policy artifacts`
#[derive(Debug, Args)]
pub(crate) struct PolicyArtifacts {
    /// s3://bucket/prefix; repeat for several [default: $S3_BUCKET_NAME, then those of [artifacts]]
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Vec<String>,
    /// Which AWS
    #[arg(long, value_enum, default_value = "aws")]
    pub(crate) partition: PartitionName,
}

/// `policy vpn`
#[derive(Debug, Args)]
pub(crate) struct PolicyVpn {
    /// ssm:/PREFIX [default: $SSM_PREFIX, the store of [vpn], /ephem-vpn]
    #[arg(long, value_name = "STORE", value_parser = crate::config::StorePlace::parse)]
    pub(crate) store: Option<crate::config::StorePlace>,
    /// Account of the parameters [default: any]
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) account: Option<String>,
    /// Region of the parameters [default: any]
    #[arg(long, value_name = "REGION", value_parser = Region::parse)]
    pub(crate) region: Option<Region>,
    /// Key that seals the parameters, where it is not AWS's own
    #[arg(long, value_name = "ARN")]
    pub(crate) kms_key: Option<String>,
    /// Which AWS [default: that of the region]
    #[arg(long, value_enum)]
    pub(crate) partition: Option<PartitionName>,
}

/// `policy gateway`
#[derive(Debug, Args)]
pub(crate) struct PolicyGateway {
    /// Whose the gateways are: the value of the tag `bowline:owner`
    #[arg(long, value_name = "ID")]
    pub(crate) owner: String,
    /// Region of the VPN connections
    #[arg(long, value_name = "REGION", value_parser = Region::parse)]
    pub(crate) region: Region,
    /// Account of the VPN connections
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) account: String,
}

/// `policy trust …`
#[derive(Debug, Subcommand)]
pub(crate) enum Trust {
    /// Machines with a certificate, through IAM Roles Anywhere
    #[command(
        after_help = "`*` and `?` in a name stand for others.\n\nExample:\n  bowline policy trust roles-anywhere --trust-anchor ARN --subject-cn site-1"
    )]
    RolesAnywhere(TrustRolesAnywhere),
    /// EC2 instances of an account
    Ec2(TrustAccount),
    /// ECS tasks of an account
    Ecs(TrustEcs),
    /// Tokens of an OIDC provider: GitHub Actions, EKS, any CI
    #[command(
        visible_alias = "eks",
        after_help = "Example:\n  bowline policy trust web-identity --account 111122223333 --issuer URL --subject SUBJECT"
    )]
    WebIdentity(TrustWebIdentity),
    /// A role, a user or the whole of another account
    Account(TrustPrincipal),
}

/// `policy trust roles-anywhere`
#[derive(Debug, Args)]
pub(crate) struct TrustRolesAnywhere {
    /// ARN of the trust anchor
    #[arg(long, value_name = "ARN", value_parser = trust_anchor)]
    pub(crate) trust_anchor: String,
    /// Common name of the certificate's subject
    #[arg(long, value_name = "NAME")]
    pub(crate) subject_cn: Option<String>,
    /// Organizational unit of the certificate's subject
    #[arg(long, value_name = "NAME")]
    pub(crate) subject_ou: Option<String>,
    /// Common name of the certificate's issuer
    #[arg(long, visible_alias = "issuer", value_name = "NAME")]
    pub(crate) issuer_cn: Option<String>,
    /// DNS name among the certificate's alternative names
    #[arg(long, value_name = "NAME")]
    pub(crate) san_dns: Option<String>,
    /// URI among the certificate's alternative names
    #[arg(long, value_name = "URI")]
    pub(crate) san_uri: Option<String>,
}

/// The account that a role is in.
#[derive(Debug, Args)]
pub(crate) struct TrustAccount {
    /// Account that the role is in
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(crate) account: String,
    /// Which AWS
    #[arg(long, value_enum, default_value = "aws")]
    pub(crate) partition: PartitionName,
}

/// `policy trust ecs`
#[derive(Debug, Args)]
pub(crate) struct TrustEcs {
    #[command(flatten)]
    pub(crate) account: TrustAccount,
    /// Region of the tasks [default: any]
    #[arg(long, value_name = "REGION", value_parser = Region::parse)]
    pub(crate) region: Option<Region>,
}

/// `policy trust web-identity`
#[derive(Debug, Args)]
pub(crate) struct TrustWebIdentity {
    #[command(flatten)]
    pub(crate) account: TrustAccount,
    /// URL of the provider, as it stands in the tokens
    #[arg(long, value_name = "URL", value_parser = issuer)]
    pub(crate) issuer: String,
    /// `sub` of the tokens; `*` and `?` stand for others
    #[arg(long, value_name = "SUBJECT")]
    pub(crate) subject: String,
    /// `aud` of the tokens
    #[arg(long, value_name = "AUDIENCE", default_value = "sts.amazonaws.com")]
    pub(crate) audience: String,
}

/// `policy trust account`
#[derive(Debug, Args)]
pub(crate) struct TrustPrincipal {
    /// ARN of a role or user, or an account's number for whomever that account lets
    #[arg(long, value_name = "ARN|ACCOUNT", value_parser = principal)]
    pub(crate) principal: String,
    /// The word that was agreed on with a third party
    #[arg(long, value_name = "ID")]
    pub(crate) external_id: Option<String>,
    /// Only with a code of an MFA device
    #[arg(long)]
    pub(crate) mfa: bool,
    /// Which AWS, where an account's number is given
    #[arg(long, value_enum, default_value = "aws")]
    pub(crate) partition: PartitionName,
}

/// The AWSs, as ARNs name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartitionName {
    Aws,
    AwsCn,
    AwsUsGov,
}

impl From<PartitionName> for Partition {
    fn from(name: PartitionName) -> Self {
        match name {
            PartitionName::Aws => Self::Aws,
            PartitionName::AwsCn => Self::China,
            PartitionName::AwsUsGov => Self::Gov,
        }
    }
}

fn trust_anchor(text: &str) -> Result<String, String> {
    match text.split(':').collect::<Vec<_>>()[..] {
        ["arn", _, "rolesanywhere", _, _, resource] if resource.starts_with("trust-anchor/") => Ok(text.to_owned()),
        _ => Err("write it as arn:aws:rolesanywhere:REGION:ACCOUNT:trust-anchor/ID".to_owned()),
    }
}

fn issuer(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/');
    let fits = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_alphanumeric() || "./_-:".contains(c));
    if fits && !bare.contains("://") { Ok(bare.to_owned()) } else { Err("write it as https://HOST/PATH".to_owned()) }
}

fn principal(text: &str) -> Result<String, String> {
    let is_identity =
        text.starts_with("arn:") && text.split(':').nth(2).is_some_and(|part| part == "iam" || part == "sts");
    if is_identity || account(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("write an account's twelve digits or the ARN of a role or user".to_owned())
}
