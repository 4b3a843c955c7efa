//! Regions and the partitions that they belong to.

use std::fmt;

use bowline_base::{Fault, Kind};

/// A region's name, known to be usable as part of a host name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(String);

impl Region {
    /// Takes lower-case letters, digits and inner hyphens, at most 63: `eu-central-1`, and also what S3-compatible
    /// stores call theirs.
    ///
    /// # Errors
    /// A `Config` fault that shows the text.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = || {
            Fault::new(Kind::Config, "region", format!("`{text}` is not a region"))
                .hint("write a region like `eu-central-1`")
        };
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=63).contains(&text.len()) && text.chars().all(allowed);
        if fits && !text.starts_with('-') && !text.ends_with('-') { Ok(Self(text.to_owned())) } else { Err(wrong()) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition that the region belongs to; unknown regions belong to `aws`.
    #[must_use]
    pub fn partition(&self) -> Partition {
        match self.0.split('-').next() {
            Some("cn") => Partition::China,
            Some("us") if self.0.starts_with("us-gov-") => Partition::Gov,
            _ => Partition::Aws,
        }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A separate AWS with its own accounts and host names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// The commercial one.
    Aws,
    /// China: Beijing and Ningxia.
    China,
    /// US government.
    Gov,
}

impl Partition {
    /// The second part of an ARN: `aws`, `aws-cn`, `aws-us-gov`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::China => "aws-cn",
            Self::Gov => "aws-us-gov",
        }
    }

    /// Where the one IAM of the partition takes its signatures from; from botocore's rules.
    pub(crate) fn iam_region(self) -> Region {
        let name = match self {
            Self::Aws => "us-east-1",
            Self::China => "cn-north-1",
            Self::Gov => "us-gov-west-1",
        };
        Region(name.to_owned())
    }

    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::Gov => "amazonaws.com",
            Self::China => "amazonaws.com.cn",
        }
    }

    pub(crate) fn dual_stack_suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::Gov => "api.aws",
            Self::China => "api.amazonwebservices.com.cn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_that_could_change_the_host_is_refused() {
        for text in ["", "eu/central", "eu-central-1.evil.example", "EU-CENTRAL-1", "-a", "a-", "a@b", " eu-west-1"] {
            assert_eq!(Region::parse(text).unwrap_err().kind, Kind::Config, "{text}");
        }
    }

    #[test]
    fn the_partition_follows_from_the_name() {
        let id = |text| Region::parse(text).unwrap().partition().id();
        assert_eq!(
            ["eu-west-1", "cn-north-1", "us-gov-west-1", "us-east-1"].map(id),
            ["aws", "aws-cn", "aws-us-gov", "aws"]
        );
    }
}
