//! A ready-made world: one account, two roles, one bucket, one user.

use bowline_base::{Credentials, Now};

use crate::{Bucket, Cloud, Settings};

/// What a demo and most tests start from.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The account's twelve digits.
    pub account_id: String,
    /// The role that a build uses.
    pub role: String,
    /// The role's ARN, for `AssumeRole`.
    pub role_arn: String,
    /// The region of everything.
    pub region: String,
    /// The bucket with the repository.
    pub bucket: String,
    /// What goes into `sso_start_url`.
    pub start_url: String,
    /// A long-lived user, for `source_profile`.
    pub user: Credentials,
}

impl Scenario {
    /// Furnishes `cloud` with the account of `settings`, an empty bucket `maven` and a user `ci`.
    #[must_use]
    pub fn furnish(cloud: &Cloud, settings: &Settings) -> Self {
        let account_id = settings.accounts.first().map_or_else(|| "111122223333".to_owned(), |first| first.id.clone());
        let role = settings.accounts.first().and_then(|first| first.roles.first().cloned());
        let role = role.unwrap_or_else(|| "build".to_owned());
        cloud.add_bucket("maven", Bucket::memory(&settings.region));
        Self {
            role_arn: format!("arn:aws:iam::{account_id}:role/{role}"),
            account_id,
            role,
            region: settings.region.clone(),
            bucket: "maven".to_owned(),
            start_url: settings.start_url.clone().unwrap_or_else(|| "https://bowline.awsapps.com/start".to_owned()),
            user: cloud.add_user("ci"),
        }
    }

    /// Puts `files` (key, content) into the bucket.
    pub fn stock<'a>(&self, cloud: &Cloud, now: Now, files: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        for (key, content) in files {
            cloud.put_object(now, &self.bucket, key, content.to_vec());
        }
    }
}
