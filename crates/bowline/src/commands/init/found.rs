//! What lies around that tells what a machine is for: profiles, and the predecessors' `.env` and compose files. Pure.

use std::collections::BTreeMap;

/// The predecessors' variables; none of them holds a secret.
const KNOWN: [&str; 13] = [
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_REGION",
    "API_PORT",
    "CGW_NAME",
    "PROXY_PORT",
    "ROLESANYWHERE_CERTIFICATE_PATH",
    "ROLESANYWHERE_PRIVATE_KEY_PATH",
    "ROLESANYWHERE_PROFILE_ARN",
    "ROLESANYWHERE_ROLE_ARN",
    "ROLESANYWHERE_TRUST_ANCHOR_ARN",
    "S3_BUCKET_NAME",
    "SSM_PREFIX",
];

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Profiles that sign in through IAM Identity Center, in the order of the file.
    pub(super) sso_profiles: Vec<String>,
    /// All others.
    pub(super) other_profiles: Vec<String>,
    /// One for each file: what a predecessor was told.
    pub(super) files: Vec<Variables>,
}

/// Known variables by name.
pub(super) type Variables = BTreeMap<&'static str, String>;

/// What an `.env` file says, or each service of a compose file, whose variables of one name are not the same. Of one that
/// is set several times the first counts; what has no value here, or one that only the shell knows, is none.
pub(super) fn services(text: &str) -> Vec<Variables> {
    let mut all = vec![Variables::new()];
    let mut depth = None;
    for line in text.lines() {
        depth = match service(line, depth) {
            Place::Services => Some(None),
            Place::Service(indent) => {
                all.push(Variables::new());
                Some(Some(indent))
            }
            Place::Else => depth,
        };
        if let (Some((name, value)), Some(last)) = (assignment(line), all.last_mut()) {
            last.entry(name).or_insert(value);
        }
    }
    all.retain(|variables| !variables.is_empty());
    all
}

/// What a line of YAML begins.
enum Place {
    Services,
    Service(usize),
    Else,
}

/// `depth`: whether we are below `services:`, and how far its entries are indented, once that is known.
fn service(line: &str, depth: Option<Option<usize>>) -> Place {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    let is_key = text.split(" #").next().unwrap_or(text).trim_end().ends_with(':') && !text.starts_with(['#', '-']);
    match depth {
        _ if is_key && indent == 0 && text.starts_with("services:") => Place::Services,
        Some(known) if is_key && indent > 0 && known.is_none_or(|known| known == indent) => Place::Service(indent),
        _ => Place::Else,
    }
}

fn assignment(line: &str) -> Option<(&'static str, String)> {
    let line = line.trim();
    let line = line.strip_prefix("- ").unwrap_or(line).trim();
    let line = line.strip_prefix("export ").unwrap_or(line).trim();
    // The whole of a list's entry may be quoted.
    let line = unquoted(line);
    let end = line.find(['=', ':'])?;
    let name = KNOWN.into_iter().find(|known| *known == line[..end].trim())?;
    let value = value(unquoted(without_comment(line[end + 1..].trim())))?;
    Some((name, value))
}

fn without_comment(text: &str) -> &str {
    if text.starts_with(['"', '\'']) { text } else { text.split(" #").next().unwrap_or(text).trim() }
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// `${NAME:-value}` is its default; other references to variables are nothing that we know.
fn value(text: &str) -> Option<String> {
    let default = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).and_then(|inner| {
        let (_, default) = inner.split_once(":-").or_else(|| inner.split_once('-'))?;
        Some(default)
    });
    let text = default.unwrap_or(text);
    (!text.is_empty() && !text.contains('$') && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(&'static str, String)> {
        services(text).into_iter().flatten().collect()
    }

    #[test]
    fn env_files_and_both_forms_of_compose_say_the_same() {
        let wanted = [("PROXY_PORT", "9100".to_owned()), ("S3_BUCKET_NAME", "corp-maven".to_owned())];
        assert_eq!(read("# old\nexport S3_BUCKET_NAME=corp-maven\nPROXY_PORT='9100'\nOTHER=x\n"), wanted);
        let map =
            "services:\n  proxy:\n    environment:\n      S3_BUCKET_NAME: corp-maven\n      PROXY_PORT: \"9100\" \n";
        assert_eq!(read(map), wanted);
        let list = "    environment:\n      - S3_BUCKET_NAME=corp-maven # ours\n      - \"PROXY_PORT=9100\"\n";
        assert_eq!(read(list), wanted);
    }

    #[test]
    fn services_of_a_compose_file_are_kept_apart() {
        let text = "version: '3'\nservices:\n  # the repository\n  proxy:\n    environment:\n      - PROXY_PORT=9000\n      - S3_BUCKET_NAME=b\n  vpn:\n    environment:\n      PROXY_PORT: 3128\n      SSM_PREFIX: /v\nvolumes:\n  data:\n";
        let ports: Vec<_> = services(text).iter().map(|one| (one.len(), one["PROXY_PORT"].clone())).collect();
        assert_eq!(ports, [(2, "9000".to_owned()), (2, "3128".to_owned())]);
    }

    #[test]
    fn a_default_of_the_shell_counts_and_a_bare_reference_does_not() {
        let text = "      - PROXY_PORT=${PROXY_PORT:-9000}\n      - AWS_REGION=${AWS_REGION}\n";
        assert_eq!(read(text), [("PROXY_PORT", "9000".to_owned())]);
        assert_eq!(read("S3_BUCKET_NAME=\nCGW_NAME=$(hostname)\n"), []);
    }

    #[test]
    fn an_arn_keeps_its_colons() {
        let arn = "arn:aws:iam::111122223333:role/site";
        assert_eq!(read(&format!("ROLESANYWHERE_ROLE_ARN={arn}\n")), [("ROLESANYWHERE_ROLE_ARN", arn.to_owned())]);
        assert_eq!(read(&format!("  ROLESANYWHERE_ROLE_ARN: {arn}\n")), [("ROLESANYWHERE_ROLE_ARN", arn.to_owned())]);
    }

    #[test]
    fn nonsense_is_nothing() {
        for text in ["", "\u{0}", ":::\n=\n- \n", "services:\nservices:\n :\n", "S3_BUCKET_NAME"] {
            assert_eq!(read(text), [], "{text:?}");
        }
    }
}
