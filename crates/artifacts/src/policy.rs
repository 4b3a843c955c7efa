//! The least that the proxy needs of S3: reading objects, and asking whether a key exists.
//!
//! Without `s3:ListBucket` S3 answers 403 for keys that do not exist, and nobody can tell a missing artifact from a
//! missing permission. S3 checks it for a GET too, where there is no `s3:prefix`: a condition that insists on one would
//! bring the 403 back. So the prefix counts where there is one. What that costs: whoever has the policy may list the
//! names in the whole bucket by naming no prefix. A bucket of its own hides them.

use bowline_aws::Partition;
use bowline_base::policy::{Document, Statement};

/// Lets whoever has it read the places `(bucket, prefix)` in `partition`; a blank prefix is the whole bucket.
#[must_use]
pub fn read_only(partition: Partition, places: &[(String, String)]) -> Document {
    let bucket_arn = |bucket: &str| format!("arn:{}:s3:::{bucket}", partition.id());
    let objects = places.iter().map(|(bucket, prefix)| match folder(prefix) {
        "" => format!("{}/*", bucket_arn(bucket)),
        folder => format!("{}/{folder}/*", bucket_arn(bucket)),
    });
    let mut statements = vec![Statement::allow("ReadArtifacts").actions(["s3:GetObject"]).resources(objects)];
    for (number, (bucket, prefix)) in (1..).zip(places) {
        let sid = if places.len() == 1 { "FindArtifacts".to_owned() } else { format!("FindArtifacts{number}") };
        let list = Statement::allow(&sid).actions(["s3:ListBucket"]).resources([bucket_arn(bucket)]);
        statements.push(match folder(prefix) {
            "" => list,
            folder => list.when("StringLikeIfExists", "s3:prefix", [folder.to_owned(), format!("{folder}/*")]),
        });
    }
    Document::new(statements)
}

fn folder(prefix: &str) -> &str {
    prefix.trim_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(bucket: &str, prefix: &str) -> (String, String) {
        (bucket.to_owned(), prefix.to_owned())
    }

    #[test]
    fn a_prefix_narrows_both_reading_and_listing() {
        let json = read_only(Partition::Aws, &[place("corp-maven", "releases/")]).json();
        assert_eq!(json["Statement"][0]["Resource"], "arn:aws:s3:::corp-maven/releases/*");
        assert_eq!(json["Statement"][1]["Resource"], "arn:aws:s3:::corp-maven");
        let prefixes = json!({ "s3:prefix": ["releases", "releases/*"] });
        assert_eq!(json["Statement"][1]["Condition"], json!({ "StringLikeIfExists": prefixes }));
        let actions: Vec<_> = json["Statement"].as_array().unwrap().iter().map(|one| &one["Action"]).collect();
        assert_eq!(actions, ["s3:GetObject", "s3:ListBucket"]);
    }

    #[test]
    fn each_bucket_has_its_own_listing_so_that_no_prefix_opens_another() {
        let json = read_only(Partition::China, &[place("a", ""), place("b", "x")]).json();
        assert_eq!(json["Statement"][0]["Resource"], json!(["arn:aws-cn:s3:::a/*", "arn:aws-cn:s3:::b/x/*"]));
        assert_eq!(json["Statement"][1]["Condition"], serde_json::Value::Null);
        assert_eq!(json["Statement"][2]["Resource"], "arn:aws-cn:s3:::b");
    }
}
