//! Keys as people have them: IAM's download, the JSON of the AWS CLI and of `credential_process`, lines of an AWS file,
//! variables, or two bare lines. Pure; what is wrong is said without showing the text, which is a secret.

use bowline_base::Secret;
use bowline_vault::Keys;
use serde_json::Value;

/// Reads keys of any form that is known.
pub(super) fn read(text: &Secret) -> Result<Keys, &'static str> {
    let text = text.expose().trim_start_matches('\u{feff}').trim();
    let (key_id, secret_key, session_token) = match text.as_bytes().first() {
        None => return Err("there is nothing in it"),
        Some(b'{') => of_json(text)?,
        Some(_) if text.contains('=') && named(text).is_some() => named(text).ok_or(UNKNOWN)?,
        Some(_) if text.contains(',') => of_csv(text)?,
        Some(_) => of_lines(text)?,
    };
    pair(&key_id, &secret_key, session_token.as_ref())
}

/// Takes two texts that look like a key of AWS.
pub(super) fn pair(key_id: &Secret, secret_key: &Secret, session_token: Option<&Secret>) -> Result<Keys, &'static str> {
    let id = key_id.expose().trim();
    let secret = secret_key.expose().trim();
    if !(16..=128).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err("the access key id is none: 16 to 128 letters and digits, `AKIA…`");
    }
    if secret.is_empty() || secret.len() > 256 || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("the secret access key is none: up to 256 characters without blanks");
    }
    if session_token.is_some() || id.starts_with("ASIA") {
        return Err("these are keys of a session, which end by themselves: there is nothing to keep");
    }
    Ok(Keys { key_id: Secret::new(id), secret_key: Secret::new(secret), session_token: None })
}

const UNKNOWN: &str = "it has no form that is known: see bowline vault add --help";

type Found = (Secret, Secret, Option<Secret>);

/// `aws iam create-access-key`, `credential_process`.
fn of_json(text: &str) -> Result<Found, &'static str> {
    let value: Value = serde_json::from_str(text).map_err(|_| "it begins as JSON and is none")?;
    let keys = value.get("AccessKey").unwrap_or(&value);
    let text = |name: &str| keys[name].as_str().map(Secret::new);
    match (text("AccessKeyId"), text("SecretAccessKey")) {
        (Some(key_id), Some(secret_key)) => Ok((key_id, secret_key, text("SessionToken"))),
        _ => Err("it has no `AccessKeyId` with `SecretAccessKey`"),
    }
}

/// `name = value`, as in AWS's files and in shells.
fn named(text: &str) -> Option<Found> {
    let value = |wanted: &str| {
        text.lines().find_map(|line| {
            let (name, value) = line.trim().trim_start_matches("export ").split_once('=')?;
            let value = value.trim().trim_matches(['"', '\'']);
            name.trim().eq_ignore_ascii_case(wanted).then(|| Secret::new(value))
        })
    };
    Some((value("aws_access_key_id")?, value("aws_secret_access_key")?, value("aws_session_token")))
}

/// A head and one line, as IAM gives for download; other columns may stand before.
fn of_csv(text: &str) -> Result<Found, &'static str> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let (Some(head), Some(line), None) = (lines.next(), lines.next(), lines.next()) else { return Err(UNKNOWN) };
    let plain = |cell: &str| cell.trim().trim_matches('"').to_lowercase();
    let column = |name: &str| {
        let at = head.split(',').position(|cell| plain(cell) == name)?;
        line.split(',').nth(at).map(|cell| Secret::new(cell.trim().trim_matches('"')))
    };
    column("access key id").zip(column("secret access key")).map(|(id, key)| (id, key, None)).ok_or(UNKNOWN)
}

fn of_lines(text: &str) -> Result<Found, &'static str> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match (lines.next(), lines.next(), lines.next()) {
        (Some(key_id), Some(secret_key), None) => Ok((Secret::new(key_id), Secret::new(secret_key), None)),
        _ => Err(UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "AKIAIOSFODNN7EXAMPLE";
    const KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEX=MPLEKEY";

    #[test]
    fn every_form_that_people_have_gives_the_same_keys() {
        let forms = [
            format!("{ID}\n{KEY}\n"),
            format!("Access key ID,Secret access key\r\n{ID},{KEY}\r\n"),
            format!("\u{feff}User Name,Access key ID,Secret access key\nme,{ID},\"{KEY}\"\n"),
            format!("{{\"AccessKey\": {{\"AccessKeyId\": \"{ID}\", \"SecretAccessKey\": \"{KEY}\"}}}}"),
            format!("{{\"Version\": 1, \"AccessKeyId\": \"{ID}\", \"SecretAccessKey\": \"{KEY}\"}}"),
            format!("[old]\naws_access_key_id = {ID}\naws_secret_access_key = {KEY}\n"),
            format!("export AWS_ACCESS_KEY_ID={ID}\nexport AWS_SECRET_ACCESS_KEY='{KEY}'\n"),
        ];
        for form in forms {
            let keys = read(&Secret::new(&*form)).unwrap_or_else(|why| panic!("{form}: {why}"));
            assert_eq!((keys.key_id.expose(), keys.secret_key.expose()), (ID, KEY), "{form}");
        }
    }

    #[test]
    fn what_is_no_long_lived_key_is_refused_without_showing_it() {
        for text in ["", "{", "x", "a,b", "AKIA\nhunter2", &format!("{ID}\n\n"), &format!("{ID}\n{KEY}\nmore")] {
            assert!(!read(&Secret::new(text)).unwrap_err().contains("hunter2"), "{text}");
        }
        let session = format!("aws_access_key_id={ID}\naws_secret_access_key={KEY}\naws_session_token=t\n");
        assert!(read(&Secret::new(session)).unwrap_err().contains("session"));
        assert!(read(&Secret::new(format!("ASIAIOSFODNN7EXAMPLE\n{KEY}"))).unwrap_err().contains("session"));
    }
}
