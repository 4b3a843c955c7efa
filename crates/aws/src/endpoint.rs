//! Where each service is: AWS's own hosts by region and partition, or what somebody set instead.

use std::{collections::BTreeMap, net::IpAddr};

use bowline_base::{Fault, Kind, url};
use http::{Uri, uri::Scheme};

use crate::{Error, Partition, Region};

/// A service that this crate speaks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Elastic Compute Cloud, whose Site-to-Site VPN calls are spoken here.
    Ec2,
    /// Identity and Access Management.
    Iam,
    /// CloudWatch Logs.
    Logs,
    /// IAM Roles Anywhere.
    RolesAnywhere,
    /// Simple Storage Service.
    S3,
    /// Where people sign in to the console.
    Signin,
    /// Systems Manager, whose Parameter Store is spoken here.
    Ssm,
    /// IAM Identity Center's portal.
    Sso,
    /// IAM Identity Center's token service.
    SsoOidc,
    /// Security Token Service.
    Sts,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 10] = [
        Self::Ec2,
        Self::Iam,
        Self::Logs,
        Self::RolesAnywhere,
        Self::S3,
        Self::Signin,
        Self::Ssm,
        Self::Sso,
        Self::SsoOidc,
        Self::Sts,
    ];

    /// Its key in a `[services NAME]` section of the AWS configuration: `s3`, `sso_oidc`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Iam => "iam",
            Self::Logs => "cloudwatch_logs",
            Self::RolesAnywhere => "rolesanywhere",
            Self::S3 => "s3",
            Self::Signin => "signin",
            Self::Ssm => "ssm",
            Self::Sso => "sso",
            Self::SsoOidc => "sso_oidc",
            Self::Sts => "sts",
        }
    }

    /// The environment variable that redirects it: `AWS_ENDPOINT_URL_SSO_OIDC`.
    #[must_use]
    pub fn variable(self) -> &'static str {
        match self {
            Self::Ec2 => "AWS_ENDPOINT_URL_EC2",
            Self::Iam => "AWS_ENDPOINT_URL_IAM",
            Self::Logs => "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS",
            Self::RolesAnywhere => "AWS_ENDPOINT_URL_ROLESANYWHERE",
            Self::S3 => "AWS_ENDPOINT_URL_S3",
            Self::Signin => "AWS_ENDPOINT_URL_SIGNIN",
            Self::Ssm => "AWS_ENDPOINT_URL_SSM",
            Self::Sso => "AWS_ENDPOINT_URL_SSO",
            Self::SsoOidc => "AWS_ENDPOINT_URL_SSO_OIDC",
            Self::Sts => "AWS_ENDPOINT_URL_STS",
        }
    }

    /// As faults name it: `s3`, `sso-oidc`.
    #[must_use]
    pub fn origin(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Iam => "iam",
            Self::Logs => "logs",
            Self::RolesAnywhere => "rolesanywhere",
            Self::S3 => "s3",
            Self::Signin => "signin",
            Self::Ssm => "ssm",
            Self::Sso => "sso",
            Self::SsoOidc => "sso-oidc",
            Self::Sts => "sts",
        }
    }
}

/// Where the services are. The default is AWS itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    overrides: BTreeMap<Service, Base>,
    fips: bool,
    dual_stack: bool,
}

impl Endpoints {
    /// Reads one layer of settings by the names of the environment: `AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`, …,
    /// `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS`, `AWS_USE_FIPS_ENDPOINT`, `AWS_USE_DUALSTACK_ENDPOINT`. `lookup`
    /// answers for the environment, or under the same names for a profile; blank means absent.
    ///
    /// # Errors
    /// A `Config` fault that names the setting: no absolute http(s) URL, or plain http to another machine.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Fault> {
        let given = |name: &str| lookup(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let on = |name: &str| given(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let mut overrides = BTreeMap::new();
        let names = if on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") { &[][..] } else { &Service::ALL[..] };
        for service in names {
            let found = [service.variable(), GLOBAL].into_iter().find_map(|name| Some((name, given(name)?)));
            if let Some((name, url)) = found {
                overrides.insert(*service, Base::parse(name, &url)?);
            }
        }
        Ok(Self { overrides, fips: on("AWS_USE_FIPS_ENDPOINT"), dual_stack: on("AWS_USE_DUALSTACK_ENDPOINT") })
    }

    /// Fills what this layer leaves open from a weaker one: the environment over a profile.
    #[must_use]
    pub fn or(mut self, weaker: &Self) -> Self {
        for (service, base) in &weaker.overrides {
            self.overrides.entry(*service).or_insert_with(|| base.clone());
        }
        Self { fips: self.fips || weaker.fips, dual_stack: self.dual_stack || weaker.dual_stack, ..self }
    }

    /// Every service at one URL, as in tests and the demo.
    ///
    /// # Errors
    /// A `Config` fault: no absolute http(s) URL, or plain http to another machine.
    pub fn everything_at(url: &str) -> Result<Self, Fault> {
        Self::from_lookup(|name| (name == GLOBAL).then(|| url.to_owned()))
    }

    /// The URL that `service` is redirected to, without a trailing slash, where it is.
    #[must_use]
    pub fn redirected(&self, service: Service) -> Option<String> {
        self.overrides.get(&service).map(Base::url)
    }

    /// The URL of `service` in `region`, without a trailing slash.
    #[must_use]
    pub fn url(&self, service: Service, region: &Region) -> String {
        self.base(service, region).url()
    }

    pub(crate) fn base(&self, service: Service, region: &Region) -> Base {
        self.overrides.get(&service).cloned().unwrap_or_else(|| Base::https(&self.host(service, region)))
    }

    /// The endpoint of `bucket`, and the path that stands before every key of it.
    pub(crate) fn bucket(&self, region: &Region, bucket: &str) -> Result<(Base, String), Error> {
        if !is_bucket(bucket) {
            return Err(Error::unusable(Service::S3, &format!("`{bucket}` is not a bucket's name")));
        }
        if let Some(base) = self.overrides.get(&Service::S3) {
            return Ok((base.clone(), format!("/{bucket}")));
        }
        let host = self.host(Service::S3, region);
        // A certificate for `*.s3…` covers one label, and host names have no upper case.
        if bucket.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
            return Ok((Base::https(&format!("{bucket}.{host}")), String::new()));
        }
        Ok((Base::https(&host), format!("/{bucket}")))
    }

    fn host(&self, service: Service, region: &Region) -> String {
        let partition = region.partition();
        if service == Service::S3 {
            let fips = if self.fips { "-fips" } else { "" };
            let dual = if self.dual_stack { ".dualstack" } else { "" };
            return format!("s3{fips}{dual}.{region}.{}", partition.suffix());
        }
        if service == Service::Signin {
            return match partition {
                Partition::Aws => format!("{region}.signin.aws.amazon.com"),
                Partition::China => "signin.amazonaws.cn".to_owned(),
                Partition::Gov => "signin.amazonaws-us-gov.com".to_owned(),
            };
        }
        if service == Service::Iam {
            return iam_host(partition, self.fips, self.dual_stack);
        }
        // In GovCloud the plain single-stack hosts are the FIPS ones, but for Roles Anywhere.
        let own_host = partition != Partition::Gov || self.dual_stack || service == Service::RolesAnywhere;
        let fips = self.fips && own_host;
        let label = match service {
            Service::Ec2 => "ec2",
            Service::Logs => "logs",
            Service::RolesAnywhere => "rolesanywhere",
            Service::Ssm => "ssm",
            Service::Sso => "portal.sso",
            Service::SsoOidc => "oidc",
            Service::Iam | Service::S3 | Service::Signin | Service::Sts => "sts",
        };
        let suffix = if self.dual_stack { partition.dual_stack_suffix() } else { partition.suffix() };
        format!("{label}{}.{region}.{suffix}", if fips { "-fips" } else { "" })
    }
}

/// A partition has one IAM, and each of its four hosts is named in its own way.
fn iam_host(partition: Partition, fips: bool, dual_stack: bool) -> String {
    let suffix = if dual_stack { partition.dual_stack_suffix() } else { partition.suffix() };
    match (partition, fips, dual_stack) {
        (Partition::Gov, _, _) => format!("iam.us-gov.{suffix}"),
        (Partition::Aws, true, true) => format!("iam-fips.global.{suffix}"),
        (_, true, _) => format!("iam-fips.{suffix}"),
        (_, false, true) => format!("iam.global.{suffix}"),
        (Partition::Aws, false, false) => format!("iam.{suffix}"),
        (Partition::China, false, false) => format!("iam.cn-north-1.{suffix}"),
    }
}

const GLOBAL: &str = "AWS_ENDPOINT_URL";

/// Scheme, authority and leading path of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    scheme: Scheme,
    authority: String,
    path: String,
}

impl Base {
    fn https(host: &str) -> Self {
        Self { scheme: Scheme::HTTPS, authority: host.to_owned(), path: String::new() }
    }

    fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let wrong = |why: &str| {
            Fault::new(Kind::Config, name, format!("{name} `{}` {why}", url::harmless(text)))
                .hint(format!("set {name} to a URL like `https://host` or `http://127.0.0.1:4566`"))
        };
        let uri: Uri = text.parse().map_err(|_| wrong("is not a URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(wrong("is not an absolute URL"));
        };
        if uri.query().is_some() || authority.as_str().contains('@') {
            return Err(wrong("has more than a host and a path"));
        }
        if *scheme == Scheme::HTTP && !is_loopback(authority.host()) {
            return Err(wrong("is plain http to another machine"));
        }
        if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS {
            return Err(wrong("is neither http nor https"));
        }
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { scheme: scheme.clone(), authority: authority.to_string(), path })
    }

    /// The URL without a trailing slash.
    pub(crate) fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.authority, self.path)
    }

    /// What the `Host` header says: the port only where it is not the scheme's own.
    pub(crate) fn host(&self) -> &str {
        let usual = if self.scheme == Scheme::HTTP { ":80" } else { ":443" };
        self.authority.strip_suffix(usual).unwrap_or(&self.authority)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = bare.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Old buckets of us-east-1 have upper case and underscores; nothing has a slash or begins with a dot.
fn is_bucket(text: &str) -> bool {
    let fits = (3..=255).contains(&text.len()) && !text.starts_with(['.', '-']) && !text.contains("..");
    fits && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Endpoints, Fault> {
        Endpoints::from_lookup(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    fn region(text: &str) -> Region {
        Region::parse(text).unwrap()
    }

    fn hosts(region_name: &str, pairs: &[(&str, &str)]) -> [String; 4] {
        let endpoints = with(pairs).unwrap();
        let at = |service| endpoints.base(service, &region(region_name)).url().replace("https://", "");
        let bucket = endpoints.bucket(&region(region_name), "corp-maven").unwrap().0.url().replace("https://", "");
        [at(Service::Sts), at(Service::Sso), at(Service::SsoOidc), bucket]
    }

    const FIPS: (&str, &str) = ("AWS_USE_FIPS_ENDPOINT", "true");
    const DUAL: (&str, &str) = ("AWS_USE_DUALSTACK_ENDPOINT", "true");

    /// Expected values: botocore 1.43.11, `EndpointRulesetResolver` for each service.
    #[test]
    fn hosts_are_the_ones_that_botocore_resolves() {
        let plain = |suffix: &str, region: &str| {
            ["sts", "portal.sso", "oidc", "corp-maven.s3"].map(|label| format!("{label}.{region}.{suffix}"))
        };
        assert_eq!(hosts("eu-central-1", &[]), plain("amazonaws.com", "eu-central-1"));
        assert_eq!(hosts("cn-north-1", &[]), plain("amazonaws.com.cn", "cn-north-1"));
        assert_eq!(hosts("us-gov-west-1", &[]), plain("amazonaws.com", "us-gov-west-1"));
        assert_eq!(
            hosts("eu-central-1", &[FIPS, DUAL]),
            [
                "sts-fips.eu-central-1.api.aws",
                "portal.sso-fips.eu-central-1.api.aws",
                "oidc-fips.eu-central-1.api.aws",
                "corp-maven.s3-fips.dualstack.eu-central-1.amazonaws.com",
            ]
        );
        assert_eq!(
            hosts("cn-north-1", &[DUAL]),
            [
                "sts.cn-north-1.api.amazonwebservices.com.cn",
                "portal.sso.cn-north-1.api.amazonwebservices.com.cn",
                "oidc.cn-north-1.api.amazonwebservices.com.cn",
                "corp-maven.s3.dualstack.cn-north-1.amazonaws.com.cn",
            ]
        );
        assert_eq!(
            hosts("us-gov-west-1", &[FIPS]),
            [
                "sts.us-gov-west-1.amazonaws.com",
                "portal.sso.us-gov-west-1.amazonaws.com",
                "oidc.us-gov-west-1.amazonaws.com",
                "corp-maven.s3-fips.us-gov-west-1.amazonaws.com",
            ]
        );
    }

    /// Expected values: from the notes in `protocols.md`, not seen at AWS; botocore has no rules for this service's data plane.
    #[test]
    fn roles_anywhere_has_fips_hosts_of_its_own_in_govcloud_too() {
        let at = |name: &str, pairs: &[(&str, &str)]| with(pairs).unwrap().host(Service::RolesAnywhere, &region(name));
        assert_eq!(at("eu-central-1", &[]), "rolesanywhere.eu-central-1.amazonaws.com");
        assert_eq!(at("us-east-1", &[FIPS]), "rolesanywhere-fips.us-east-1.amazonaws.com");
        assert_eq!(at("us-gov-west-1", &[FIPS]), "rolesanywhere-fips.us-gov-west-1.amazonaws.com");
        assert_eq!(at("eu-central-1", &[DUAL]), "rolesanywhere.eu-central-1.api.aws");
        assert_eq!(at("cn-north-1", &[]), "rolesanywhere.cn-north-1.amazonaws.com.cn");
    }

    /// Expected values: botocore, `EndpointProvider` for `ec2`.
    #[test]
    fn ec2_has_a_host_a_region() {
        let at = |name: &str, pairs: &[(&str, &str)]| with(pairs).unwrap().host(Service::Ec2, &region(name));
        assert_eq!(at("eu-central-1", &[]), "ec2.eu-central-1.amazonaws.com");
        assert_eq!(at("eu-central-1", &[DUAL]), "ec2.eu-central-1.api.aws");
        assert_eq!(at("eu-central-1", &[FIPS]), "ec2-fips.eu-central-1.amazonaws.com");
        assert_eq!(at("cn-north-1", &[DUAL]), "ec2.cn-north-1.api.amazonwebservices.com.cn");
        assert_eq!(at("us-gov-west-1", &[FIPS]), "ec2.us-gov-west-1.amazonaws.com");
        assert_eq!(at("us-gov-west-1", &[FIPS, DUAL]), "ec2-fips.us-gov-west-1.api.aws");
        let own = with(&[("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:4566")]).unwrap();
        assert_eq!(own.url(Service::Ec2, &region("eu-central-1")), "http://127.0.0.1:4566");
    }

    /// Expected values: botocore 1.44.5, `EndpointRulesetResolver`.
    #[test]
    fn a_partition_has_one_iam() {
        let at = |name: &str, pairs: &[(&str, &str)]| with(pairs).unwrap().host(Service::Iam, &region(name));
        assert_eq!(at("eu-central-1", &[]), "iam.amazonaws.com");
        assert_eq!(at("us-east-1", &[FIPS]), "iam-fips.amazonaws.com");
        assert_eq!(at("us-east-1", &[DUAL]), "iam.global.api.aws");
        assert_eq!(at("us-east-1", &[FIPS, DUAL]), "iam-fips.global.api.aws");
        assert_eq!(at("cn-northwest-1", &[]), "iam.cn-north-1.amazonaws.com.cn");
        assert_eq!(at("cn-north-1", &[DUAL]), "iam.global.api.amazonwebservices.com.cn");
        assert_eq!(at("cn-north-1", &[FIPS, DUAL]), "iam-fips.api.amazonwebservices.com.cn");
        assert_eq!(at("us-gov-east-1", &[]), "iam.us-gov.amazonaws.com");
        assert_eq!(at("us-gov-east-1", &[FIPS]), "iam.us-gov.amazonaws.com");
        assert_eq!(at("us-gov-east-1", &[DUAL]), "iam.us-gov.api.aws");
        let signing = |name: &str| region(name).partition().iam_region().as_str().to_owned();
        assert_eq!(
            ["eu-west-1", "cn-northwest-1", "us-gov-east-1"].map(signing),
            ["us-east-1", "cn-north-1", "us-gov-west-1"]
        );
    }

    #[test]
    fn the_service_s_own_override_beats_the_global_one_and_the_environment_beats_the_profile() {
        let environment = with(&[("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000/")]).unwrap();
        let profile = with(&[("AWS_ENDPOINT_URL", "https://proxy.example/aws")]).unwrap();
        let both = environment.or(&profile);
        assert_eq!(both.redirected(Service::S3).as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(both.redirected(Service::Sts).as_deref(), Some("https://proxy.example/aws"));
    }

    #[test]
    fn plain_http_is_for_loopback_only() {
        for good in ["http://localhost:1", "http://127.0.0.9", "http://[::1]:4566", "http://s3.localhost:1"] {
            assert!(Endpoints::everything_at(good).is_ok(), "{good}");
        }
        for bad in ["http://minio:9000", "http://127.0.0.1.example", "ftp://localhost", "localhost:1", "/x", ""] {
            let told = with(&[("AWS_ENDPOINT_URL_STS", bad), ("AWS_ENDPOINT_URL", "x y")]);
            assert_eq!(told.unwrap_err().kind, Kind::Config, "{bad}");
        }
        let fault = with(&[("AWS_ENDPOINT_URL_S3", "http://minio:9000")]).unwrap_err();
        assert_eq!(fault.message, "AWS_ENDPOINT_URL_S3 `http://minio:9000` is plain http to another machine");
        for bad in ["http://me:hush@127.0.0.1:1", "http://me:hu sh@127.0.0.1", "http://127.0.0.1?key=hush", "me:hush@x"]
        {
            let fault = Endpoints::everything_at(bad).unwrap_err();
            assert!(!fault.message.contains("hush") && !fault.message.contains("hu sh"), "{}", fault.message);
        }
    }

    #[test]
    fn buckets_are_addressed_by_path_when_redirected_or_not_one_label() {
        let at = |endpoints: &Endpoints, bucket: &str| {
            endpoints.bucket(&region("eu-west-1"), bucket).map(|(base, root)| base.url() + &root).unwrap()
        };
        let aws = Endpoints::default();
        assert_eq!(at(&aws, "corp-maven"), "https://corp-maven.s3.eu-west-1.amazonaws.com");
        assert_eq!(at(&aws, "corp.maven"), "https://s3.eu-west-1.amazonaws.com/corp.maven");
        assert_eq!(at(&aws, "Old_Bucket"), "https://s3.eu-west-1.amazonaws.com/Old_Bucket");
        let local = Endpoints::everything_at("http://127.0.0.1:4566/x/").unwrap();
        assert_eq!(at(&local, "corp-maven"), "http://127.0.0.1:4566/x/corp-maven");
        for bad in ["", "a", "a/b", "..", "a?b", "a b c", "../../x"] {
            assert!(aws.bucket(&region("eu-west-1"), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_host_header_leaves_out_the_usual_port() {
        let host = |url| Base::parse("AWS_ENDPOINT_URL", url).unwrap().host().to_owned();
        assert_eq!(host("https://example.org:443"), "example.org");
        assert_eq!(host("http://127.0.0.1:9000/x"), "127.0.0.1:9000");
        assert_eq!(host("http://127.0.0.1:80"), "127.0.0.1");
    }
}
