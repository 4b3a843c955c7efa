//! What lies around that tells what a machine is for: profiles, and the predecessors' `.env` and compose files. Pure.

use std::collections::BTreeMap;

use super::flow;

/// The predecessors' variables. Of the last three, which are secrets, only that they are there is kept.
const KNOWN: [&str; 24] = [
    "AWS_DEFAULT_REGION",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "API_PORT",
    "CGW_NAME",
    "CHECK_INTERVAL",
    "LOG_LEVEL",
    "PROXY_PORT",
    "REFRESH_INTERVAL",
    "RENEWAL_THRESHOLD",
    "ROLESANYWHERE_CERTIFICATE_PATH",
    "ROLESANYWHERE_PRIVATE_KEY_PATH",
    "ROLESANYWHERE_PROFILE_ARN",
    "ROLESANYWHERE_ROLE_ARN",
    "ROLESANYWHERE_TRUST_ANCHOR_ARN",
    "S3_BUCKET_NAME",
    "SSM_PREFIX",
    "VPN_PROXY_HOST",
    "VPN_PROXY_PORT",
    KEYS[0],
    KEYS[1],
    KEYS[2],
];
/// Keys that should not lie in such a file.
pub(super) const KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// What was found.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Profiles that sign in through IAM Identity Center, in the order of the file.
    pub(super) sso_profiles: Vec<String>,
    /// All others.
    pub(super) other_profiles: Vec<String>,
    /// One for each service: what a predecessor was told.
    pub(super) files: Vec<Variables>,
}

/// Known variables by name.
pub(super) type Variables = BTreeMap<&'static str, String>;

/// Any variables by name, as a file of the shell's kind has them.
pub(super) type Surroundings = BTreeMap<String, String>;

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// An `.env` file as one, or each service of a compose file, whose variables of one name are not the same.
    pub(super) services: Vec<Variables>,
    /// Known variables that nothing tells the value of, as they are written.
    pub(super) open: Vec<(&'static str, String)>,
    /// It takes variables from other files.
    pub(super) names_files: bool,
}

/// Of a variable that is set several times the last counts, as it does for dotenv and compose. References are looked up in
/// `around`, the `.env` beside the file.
pub(super) fn read(text: &str, around: &Surroundings) -> Read {
    let mut read = Read { services: vec![Variables::new()], ..Read::default() };
    let mut depth = None;
    for line in flow::in_lines(text) {
        depth = match service(&line, depth) {
            Place::Services => Some(None),
            Place::Service(indent) => {
                read.services.push(Variables::new());
                Some(Some(indent))
            }
            Place::Else => depth,
        };
        read.names_files |= line.trim_start().starts_with("env_file:");
        if let Some((name, written)) = assignment(&line) {
            read.take(name, written, around);
        }
    }
    read.services.retain(|variables| !variables.is_empty());
    read
}

impl Read {
    fn take(&mut self, name: &'static str, written: Option<&str>, around: &Surroundings) {
        let value = match written {
            // Compose takes what has no value from its surroundings.
            None => around.get(name).cloned().ok_or_else(String::new),
            Some(written) => resolved(written, around).ok_or_else(|| written.to_owned()),
        };
        match value {
            Ok(value) if value.is_empty() || value.chars().any(char::is_control) => {}
            Ok(value) => {
                let kept = if KEYS.contains(&name) { "set".to_owned() } else { value };
                self.services.last_mut().map(|last| last.insert(name, kept));
            }
            // The keys of a shell are where they belong.
            Err(_) if KEYS.contains(&name) => {}
            Err(written) => self.open.push((name, written)),
        }
    }
}

/// Every variable of an `.env` file, but keys.
pub(super) fn surroundings(text: &str) -> Surroundings {
    let pair = |line: &str| {
        let line = line.trim();
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        let name = name.trim();
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        (plain && !KEYS.contains(&name)).then(|| (name.to_owned(), unquoted(without_comment(value.trim())).to_owned()))
    };
    text.lines().filter_map(pair).collect()
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

/// A known name and what is written behind it; `None` where there is nothing, in YAML: `NAME:` or `- NAME`.
fn assignment(line: &str) -> Option<(&'static str, Option<&str>)> {
    let trimmed = line.trim();
    let entry = trimmed.strip_prefix("- ");
    let line = entry.unwrap_or(trimmed).trim();
    let line = line.strip_prefix("export ").unwrap_or(line).trim();
    // The whole of a list's entry may be quoted.
    let whole = unquoted(without_comment(line));
    let line = if entry.is_some() && !KNOWN.contains(&whole) { whole } else { line };
    let known = |text: &str| KNOWN.into_iter().find(|known| *known == unquoted(text.trim()));
    let Some(end) = line.find(['=', ':']) else {
        return entry.and(known(line)).map(|name| (name, None));
    };
    let name = known(&line[..end])?;
    let written = unquoted(without_comment(line[end + 1..].trim()));
    let nothing = line[end..].starts_with(':') && (written.is_empty() || written == "null" || written == "~");
    Some((name, (!nothing).then_some(written)))
}

fn without_comment(text: &str) -> &str {
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text[1..].find(quote).map_or(text, |end| &text[..end + 2]),
        Some('#') => "",
        _ => text.split(" #").next().unwrap_or(text).trim(),
    }
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// `text` with its references, `${NAME}`, `${NAME:-default}`, `${NAME-default}` and `$NAME`, replaced. `None`: one of them
/// means nothing here.
fn resolved(text: &str, around: &Surroundings) -> Option<String> {
    let Some((before, rest)) = text.split_once('$') else { return Some(text.to_owned()) };
    let (value, after) = match rest.strip_prefix('{') {
        Some(inner) => {
            let (inner, after) = braced(inner)?;
            (reference(inner, around)?, after)
        }
        None => match rest.strip_prefix('$') {
            Some(after) => ("$".to_owned(), after),
            None => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                (around.get(&rest[..end])?.clone(), &rest[end..])
            }
        },
    };
    Some(format!("{before}{value}{}", resolved(after, around)?))
}

/// What stands before the brace that closes, and behind it; a default may hold a reference of its own.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1_usize;
    let end = text.char_indices().find_map(|(at, character)| {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn reference(inner: &str, around: &Surroundings) -> Option<String> {
    let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
    let (name, rest) = inner.split_at(end);
    let set = around.get(name).filter(|value| !value.is_empty()).cloned();
    let default = rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-')).filter(|default| !default.contains('$'));
    set.or_else(|| default.map(ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(text: &str) -> Vec<Variables> {
        read(text, &Surroundings::new()).services
    }

    fn flat(text: &str) -> Vec<(&'static str, String)> {
        services(text).into_iter().flatten().collect()
    }

    #[test]
    fn env_files_and_every_form_of_compose_say_the_same() {
        let wanted = [("PROXY_PORT", "9100".to_owned()), ("S3_BUCKET_NAME", "corp-maven".to_owned())];
        for text in [
            "# old\nexport S3_BUCKET_NAME=corp-maven\nPROXY_PORT='9100'\nOTHER=x\n",
            "services:\n  proxy:\n    environment:\n      S3_BUCKET_NAME: corp-maven\n      PROXY_PORT: \"9100\" \n",
            "    environment:\n      - S3_BUCKET_NAME=corp-maven # ours\n      - \"PROXY_PORT=9100\" # a port\n",
            "services:\n  proxy:\n    environment: {S3_BUCKET_NAME: corp-maven, PROXY_PORT: 9100, OTHER: \"a, b\"}\n",
            "services:\n  proxy:\n    environment: {\n      \"S3_BUCKET_NAME\": \"corp-maven\", # ours\n      PROXY_PORT: 9100 }\n",
            "services:\n  proxy: {image: x, environment: [\"S3_BUCKET_NAME=corp-maven\", 'PROXY_PORT=9100']}\n",
        ] {
            assert_eq!(flat(text), wanted, "{text}");
        }
    }

    #[test]
    fn services_of_a_compose_file_are_kept_apart() {
        let text = "version: '3'\nservices:\n  # the repository\n  proxy:\n    environment:\n      - PROXY_PORT=9000\n      - S3_BUCKET_NAME=b\n  vpn:\n    environment:\n      PROXY_PORT: 3128\n      SSM_PREFIX: /v\nvolumes:\n  data:\n";
        let ports: Vec<_> = services(text).iter().map(|one| (one.len(), one["PROXY_PORT"].clone())).collect();
        assert_eq!(ports, [(2, "9000".to_owned()), (2, "3128".to_owned())]);
    }

    #[test]
    fn references_are_looked_up_beside_the_file_and_the_rest_is_told() {
        let around = surroundings("BUCKET=corp # ours\nexport CGW_NAME='hut'\nAWS_SECRET_ACCESS_KEY=hush\nPORT=\n");
        let text = "environment:\n  - S3_BUCKET_NAME=${BUCKET}/releases\n  - PROXY_PORT=${PORT:-9000}\n  - AWS_REGION=${REGION}\n  - CGW_NAME\n  \
                    - API_PORT=${API:?needed}\n  - AWS_PROFILE=a$$b\n  - AWS_SECRET_ACCESS_KEY=${AWS_SECRET_ACCESS_KEY}\n";
        let read = read(text, &around);
        let found: Vec<_> = read.services[0].iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(found, ["AWS_PROFILE=a$b", "CGW_NAME=hut", "PROXY_PORT=9000", "S3_BUCKET_NAME=corp/releases"]);
        assert_eq!(read.open, [("AWS_REGION", "${REGION}".to_owned()), ("API_PORT", "${API:?needed}".to_owned())]);
        assert_eq!(flat("S3_BUCKET_NAME=\nCGW_NAME=$(hostname)\n"), []);
    }

    #[test]
    fn the_last_of_several_counts_and_a_key_is_not_kept() {
        let text = "PROXY_PORT=1\nPROXY_PORT=2\nAWS_SECRET_ACCESS_KEY=hush\n";
        assert_eq!(flat(text), [("AWS_SECRET_ACCESS_KEY", "set".to_owned()), ("PROXY_PORT", "2".to_owned())]);
    }

    #[test]
    fn an_arn_keeps_its_colons() {
        let arn = "arn:aws:iam::111122223333:role/site";
        assert_eq!(flat(&format!("ROLESANYWHERE_ROLE_ARN={arn}\n")), [("ROLESANYWHERE_ROLE_ARN", arn.to_owned())]);
        assert_eq!(flat(&format!("  ROLESANYWHERE_ROLE_ARN: {arn}\n")), [("ROLESANYWHERE_ROLE_ARN", arn.to_owned())]);
    }

    #[test]
    fn nonsense_is_nothing() {
        let texts = [
            "",
            "\u{0}",
            ":::\n=\n- \n",
            "services:\nservices:\n :\n",
            "S3_BUCKET_NAME",
            "environment: {",
            "environment: [}]\n",
        ];
        for text in texts {
            assert_eq!(flat(text), [], "{text:?}");
        }
    }
}
