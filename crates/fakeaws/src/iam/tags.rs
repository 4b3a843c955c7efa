//! Tags of users. Setting one overwrites the one that is there, whatever the case of its key.

use super::{
    Ask,
    directory::{Tags, User},
    paging::page,
};
use crate::{
    cloud::State,
    policy::Context,
    query::{No, constraint},
    xml::element,
};

const MOST: usize = 50;

pub(super) fn tag(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let name = ask.required("UserName")?.to_owned();
    let new = read(ask)?;
    ask.may(state, "iam:TagUser", &name, requested(&new))?;
    let from = state.spread(ask.now);
    let user = ask.found(state, &name)?;
    let mut tags = user.tags.truth().clone();
    tags.extend(new);
    if tags.len() > MOST {
        return Err(No(409, "LimitExceeded", "Cannot exceed quota for TagsPerUser: 50".to_owned()));
    }
    user.tags.set(from, tags);
    Ok(())
}

pub(super) fn untag(state: &mut State, ask: &Ask<'_>) -> Result<(), No> {
    let name = ask.required("UserName")?.to_owned();
    let keys: Vec<String> =
        (1..).map_while(|n| ask.form.field(&format!("TagKeys.member.{n}"))).map(String::from).collect();
    let context = keys.iter().fold(Context::default(), |context, key| context.with("aws:TagKeys", key));
    ask.may(state, "iam:UntagUser", &name, context)?;
    let from = state.spread(ask.now);
    let user = ask.found(state, &name)?;
    let mut tags = user.tags.truth().clone();
    for key in keys {
        tags.remove(&key.to_ascii_lowercase());
    }
    user.tags.set(from, tags);
    Ok(())
}

pub(super) fn list(state: &State, ask: &Ask<'_>) -> Result<String, No> {
    let name = ask.required("UserName")?;
    let user = ask.shown(state, "iam:ListUserTags", name)?;
    page(state, ask, "Tags", &members(user, ask))
}

/// The tags that a call brings.
pub(super) fn read(ask: &Ask<'_>) -> Result<Tags, No> {
    let mut tags = Tags::new();
    for n in 1.. {
        let Some(key) = ask.form.field(&format!("Tags.member.{n}.Key")) else { break };
        let value = ask.form.field(&format!("Tags.member.{n}.Value")).unwrap_or_default();
        if key.is_empty() || key.chars().count() > 128 || !key.chars().all(is_tag_letter) {
            return Err(constraint(
                key,
                &format!("tags.{n}.member.key"),
                "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
            ));
        }
        if value.chars().count() > 256 || !value.chars().all(is_tag_letter) {
            return Err(constraint(
                value,
                &format!("tags.{n}.member.value"),
                "Member must satisfy regular expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*",
            ));
        }
        if tags.insert(key.to_ascii_lowercase(), (key.to_owned(), value.to_owned())).is_some() {
            let words = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(No(400, "InvalidInput", words.to_owned()));
        }
    }
    if tags.len() > MOST {
        return Err(constraint("…", "tags", "Member must have length less than or equal to 50"));
    }
    Ok(tags)
}

/// What a policy sees of the tags that a call brings.
pub(super) fn requested(tags: &Tags) -> Context {
    tags.values().fold(Context::default(), |context, (key, value)| {
        context.with(&format!("aws:RequestTag/{key}"), value).with("aws:TagKeys", key)
    })
}

pub(super) fn members(user: &User, ask: &Ask<'_>) -> Vec<String> {
    let tags = user.tags.at(ask.now).into_iter().flat_map(Tags::values);
    tags.map(|(key, value)| element("Key", key) + &element("Value", value)).collect()
}

fn is_tag_letter(letter: char) -> bool {
    letter.is_alphanumeric() || letter == ' ' || "_.:/=+-@".contains(letter)
}
