//! The least that a program needs to have Bedrock's models answer.
//!
//! A model is named by its id, as the program names it: `anthropic.claude-3-haiku-20240307-v1:0` is a foundation model,
//! `us.anthropic.…` an inference profile that spreads calls over the regions of a geography. Calling a profile needs the
//! profile and the model in every region that it leads to; there the model is allowed through that profile only, which is
//! what `bedrock:InferenceProfileArn` says. Sources: the Bedrock user guide, "Geographic cross-Region inference" and
//! "Global cross-Region inference"; regions of the geographies: the AWS CDK, `CrossRegionInferenceProfileRegion`.

use bowline_aws::{Partition, Region};
use bowline_base::policy::{Document, Statement};

const INVOKE: [&str; 2] = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"];
const THROUGH: &str = "bedrock:InferenceProfileArn";

/// A model's id; `*` and `?` stand for others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    geography: Option<Geography>,
    /// The foundation model's id, without a geography.
    id: String,
}

/// What stands before the first dot of an inference profile, and the regions that it may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Geography {
    prefix: &'static str,
    regions: &'static [&'static str],
}

/// A prefix that leads anywhere.
const GLOBAL: &str = "global";

const GEOGRAPHIES: [Geography; 7] = [
    Geography { prefix: GLOBAL, regions: &[] },
    Geography { prefix: "us", regions: &["us-east-1", "us-east-2", "us-west-2"] },
    Geography {
        prefix: "eu",
        regions: &[
            "eu-central-1",
            "eu-central-2",
            "eu-north-1",
            "eu-south-1",
            "eu-south-2",
            "eu-west-1",
            "eu-west-2",
            "eu-west-3",
        ],
    },
    Geography {
        prefix: "apac",
        regions: &[
            "ap-east-2",
            "ap-northeast-1",
            "ap-northeast-2",
            "ap-northeast-3",
            "ap-south-1",
            "ap-south-2",
            "ap-southeast-1",
            "ap-southeast-2",
            "ap-southeast-3",
            "ap-southeast-4",
            "ap-southeast-5",
            "ap-southeast-7",
            "me-central-1",
        ],
    },
    Geography { prefix: "jp", regions: &["ap-northeast-1", "ap-northeast-3"] },
    Geography { prefix: "au", regions: &["ap-southeast-2", "ap-southeast-4"] },
    Geography { prefix: "us-gov", regions: &["us-gov-east-1", "us-gov-west-1"] },
];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Bedrock {
    /// Where ARNs are.
    pub partition: Partition,
    /// From where the program calls; none is every region.
    pub regions: Vec<Region>,
    /// Whose inference profiles; none is any account's.
    pub account: Option<String>,
    /// The models; none is every model and every profile.
    pub models: Vec<Model>,
}

impl Model {
    /// Reads an id, with what people write around it: `model/…`, or the ARN of a foundation model or a profile.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let id = bare(text)?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._:-*?".contains(c);
        if id.is_empty() || !id.chars().all(allowed) {
            return Err(format!("`{text}` is not a model id like `anthropic.claude-3-haiku-20240307-v1:0`"));
        }
        let parted = id.split_once('.');
        let geography = parted.and_then(|(prefix, _)| GEOGRAPHIES.into_iter().find(|one| one.prefix == prefix));
        let id = parted.filter(|_| geography.is_some()).map_or(id, |(_, rest)| rest);
        if id.is_empty() {
            return Err(format!("`{text}` is a geography without a model"));
        }
        Ok(Self { geography, id: id.to_owned() })
    }
}

fn bare(text: &str) -> Result<&str, String> {
    if let Some(id) = text.strip_prefix("model/") {
        return Ok(id);
    }
    if !text.starts_with("arn:") {
        return Ok(text);
    }
    let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
    match resource.split_once('/') {
        Some(("foundation-model" | "inference-profile", id)) => Ok(id),
        _ => Err(format!("`{text}` is not the ARN of a foundation model or of a cross-region inference profile")),
    }
}

/// The policy of a role that may do this and nothing else.
#[must_use]
pub fn document(asked: &Bedrock) -> Document {
    if asked.models.is_empty() {
        let resources = asked.models_named("*").into_iter().chain(asked.profiles("*"));
        return Document::new([Statement::allow("InvokeModels").actions(INVOKE).resources(resources)]);
    }
    let direct: Vec<String> = asked
        .models
        .iter()
        .filter(|model| model.geography.is_none())
        .flat_map(|model| asked.models_named(&model.id))
        .collect();
    let mut statements = Vec::new();
    if !direct.is_empty() {
        statements.push(Statement::allow("InvokeModels").actions(INVOKE).resources(direct));
    }
    let routed = asked.models.iter().filter_map(|model| Some((model.geography?, model)));
    for (number, (geography, model)) in (1..).zip(routed) {
        statements.extend(asked.routed(number, geography, &model.id));
    }
    Document::new(statements)
}

impl Bedrock {
    fn sources(&self) -> Vec<&str> {
        if self.regions.is_empty() { vec!["*"] } else { self.regions.iter().map(Region::as_str).collect() }
    }

    fn model_arn(&self, region: &str, id: &str) -> String {
        format!("arn:{}:bedrock:{region}::foundation-model/{id}", self.partition.id())
    }

    /// Foundation models, in every region from which the program calls.
    fn models_named(&self, id: &str) -> Vec<String> {
        self.sources().into_iter().map(|region| self.model_arn(region, id)).collect()
    }

    fn profiles(&self, id: &str) -> Vec<String> {
        let account = self.account.as_deref().unwrap_or("*");
        let arn = |region| format!("arn:{}:bedrock:{region}:{account}:inference-profile/{id}", self.partition.id());
        self.sources().into_iter().map(arn).collect()
    }

    fn routed(&self, number: usize, geography: Geography, id: &str) -> Vec<Statement> {
        let profiles = self.profiles(&format!("{}.{id}", geography.prefix));
        let through = |sid: &str, resources: Vec<String>| {
            let statement = Statement::allow(&format!("{sid}{number}")).actions(INVOKE).resources(resources);
            statement.when("ArnLike", THROUGH, profiles.clone())
        };
        let profile = Statement::allow(&format!("InvokeProfile{number}")).actions(INVOKE).resources(profiles.clone());
        if geography.prefix == GLOBAL {
            // The second is the model wherever AWS takes the call, which is told as a region that is not specified.
            let anywhere = through("InvokeModelAnywhere", vec![self.model_arn("", id)]);
            return vec![
                profile,
                through("InvokeModelHere", self.models_named(id)),
                anywhere.when("StringEquals", "aws:RequestedRegion", ["unspecified"]),
            ];
        }
        let mut regions: Vec<&str> = geography.regions.to_vec();
        regions.extend(self.regions.iter().map(Region::as_str));
        regions.sort_unstable();
        regions.dedup();
        let destinations = regions.into_iter().map(|region| self.model_arn(region, id)).collect();
        vec![profile, through("InvokeModelThroughProfile", destinations)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn asked(models: &[&str], regions: &[&str]) -> Value {
        let models = models.iter().map(|text| Model::parse(text).unwrap()).collect();
        let regions: Vec<Region> = regions.iter().map(|text| Region::parse(text).unwrap()).collect();
        let partition = regions.first().map_or(Partition::Aws, Region::partition);
        document(&Bedrock { partition, regions, account: Some("111122223333".to_owned()), models }).json()["Statement"]
            .clone()
    }

    #[test]
    fn a_foundation_model_is_allowed_where_the_program_calls_from() {
        let statements = asked(&["anthropic.claude-3-haiku-20240307-v1:0"], &["eu-central-1"]);
        assert_eq!(statements.as_array().unwrap().len(), 1);
        assert_eq!(statements[0]["Action"], json!(INVOKE));
        assert_eq!(
            statements[0]["Resource"],
            "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0"
        );
        assert_eq!(statements[0]["Condition"], Value::Null);
    }

    #[test]
    fn a_profile_opens_its_model_in_every_region_that_it_leads_to_and_only_through_itself() {
        let statements = asked(&["us.anthropic.claude-3-*"], &["ca-central-1"]);
        let profile = "arn:aws:bedrock:ca-central-1:111122223333:inference-profile/us.anthropic.claude-3-*";
        assert_eq!(statements[0]["Resource"], profile);
        assert_eq!(statements[0]["Condition"], Value::Null);
        let arn = |region| format!("arn:aws:bedrock:{region}::foundation-model/anthropic.claude-3-*");
        let regions = ["ca-central-1", "us-east-1", "us-east-2", "us-west-2"].map(arn);
        assert_eq!(statements[1]["Resource"], json!(regions));
        assert_eq!(statements[1]["Condition"], json!({ "ArnLike": { THROUGH: profile } }));
    }

    #[test]
    fn a_global_profile_has_a_model_without_a_region() {
        let statements = asked(&["global.anthropic.claude-sonnet-4-6"], &["us-east-1"]);
        assert_eq!(statements[2]["Resource"], "arn:aws:bedrock:::foundation-model/anthropic.claude-sonnet-4-6");
        assert_eq!(statements[2]["Condition"]["StringEquals"]["aws:RequestedRegion"], "unspecified");
        for statement in &statements.as_array().unwrap()[1..] {
            let profile = "arn:aws:bedrock:us-east-1:111122223333:inference-profile/global.anthropic.claude-sonnet-4-6";
            assert_eq!(statement["Condition"]["ArnLike"][THROUGH], profile);
        }
    }

    #[test]
    fn arns_are_those_of_the_partition() {
        let statements = asked(&["us-gov.anthropic.x", "amazon.titan"], &["us-gov-west-1"]);
        let text = statements.to_string();
        assert!(!text.contains("arn:aws:") && text.contains("arn:aws-us-gov:bedrock:us-gov-east-1::foundation-model/"));
        assert!(asked(&["x.y"], &["cn-north-1"]).to_string().contains("arn:aws-cn:bedrock:cn-north-1::"));
    }

    #[test]
    fn nothing_named_is_every_model_and_every_profile() {
        let expected = ["arn:aws:bedrock:*::foundation-model/*", "arn:aws:bedrock:*:111122223333:inference-profile/*"];
        assert_eq!(asked(&[], &[])[0]["Resource"], json!(expected));
    }

    #[test]
    fn ids_are_read_as_people_write_them() {
        let routed = Model::parse("us.anthropic.claude-3-*").unwrap();
        assert_eq!((routed.geography.unwrap().prefix, routed.id.as_str()), ("us", "anthropic.claude-3-*"));
        for same in [
            "model/us.anthropic.claude-3-*",
            "arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.anthropic.claude-3-*",
        ] {
            assert_eq!(Model::parse(same).unwrap(), routed, "{same}");
        }
        let model = Model::parse("arn:aws:bedrock:us-east-1::foundation-model/deepseek.v3.2").unwrap();
        assert_eq!((model.geography, model.id.as_str()), (None, "deepseek.v3.2"));
        for wrong in ["", "us.", "a b", "arn:aws:bedrock:us-east-1:1:application-inference-profile/x", "a/b"] {
            assert!(Model::parse(wrong).is_err(), "{wrong}");
        }
    }
}
