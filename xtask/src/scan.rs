//! Looks for secrets where they must not be: every captured output is searched for every secret that the fake AWS
//! issued in the run, as it is and in the disguises that programs give it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use base64::{
    Engine as _,
    engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 3986 calls unreserved, as in a query string.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Shorter texts would be found by chance.
const SHORTEST: usize = 16;

/// A secret in a file: where, and in which form. The secret itself is not told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Leak {
    pub(crate) file: PathBuf,
    pub(crate) form: &'static str,
    /// Which secret, by file and line of the list.
    pub(crate) secret: String,
}

/// The form in which headers and mails carry a secret.
const BASE64: &str = "base64";

/// How much was searched, and what was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) secrets: usize,
    pub(crate) files: usize,
    pub(crate) leaks: Vec<Leak>,
}

/// One form of one secret.
struct Needle {
    text: Vec<u8>,
    form: &'static str,
    secret: String,
}

/// Needles by their first bytes, so that one pass over a file finds all of them.
struct Needles(HashMap<[u8; SHORTEST], Vec<Needle>>);

/// Searches every file below `outputs` for every line of every file below `lists`.
pub(crate) fn search(lists: &Path, outputs: &Path) -> io::Result<Findings> {
    let secrets = secrets(lists)?;
    let needles = Needles::new(&secrets);
    let mut findings = Findings { secrets: secrets.len(), ..Findings::default() };
    for file in files(outputs)? {
        findings.files += 1;
        let contents = fs::read(&file)?;
        let found = needles.found_in(&contents);
        let leak = |needle: &Needle| Leak { file: file.clone(), form: needle.form, secret: needle.secret.clone() };
        findings.leaks.extend(found.into_iter().map(leak));
    }
    Ok(findings)
}

impl Needles {
    fn new(secrets: &BTreeMap<String, String>) -> Self {
        let mut needles: HashMap<[u8; SHORTEST], Vec<Needle>> = HashMap::new();
        for (secret, origin) in secrets {
            for (form, text) in disguises(secret) {
                let Some(start) = text.as_bytes().first_chunk().copied() else { continue };
                let needle = Needle { text: text.into_bytes(), form, secret: origin.clone() };
                needles.entry(start).or_default().push(needle);
            }
        }
        Self(needles)
    }

    /// Every needle that occurs, once; of base64 also what goes on in the next line, as that of mail does.
    fn found_in(&self, contents: &[u8]) -> Vec<&Needle> {
        let mut found = Vec::new();
        self.look_in(contents, |_| true, &mut found);
        let unwrapped: Vec<u8> = contents.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
        // Not as it is: the last lines of a PEM key are its public half, which a certificate has too.
        self.look_in(&unwrapped, |form| form == BASE64, &mut found);
        found
    }

    fn look_in<'a>(&'a self, contents: &[u8], of: fn(&str) -> bool, found: &mut Vec<&'a Needle>) {
        for start in 0..contents.len() {
            let rest = &contents[start..];
            let Some(candidates) = rest.first_chunk().and_then(|chunk| self.0.get(chunk)) else { continue };
            for needle in candidates.iter().filter(|needle| of(needle.form) && rest.starts_with(&needle.text)) {
                if !found.iter().any(|seen| seen.text == needle.text) {
                    found.push(needle);
                }
            }
        }
    }
}

/// Every regular file below `folder`, in order; none where there is no such folder.
pub(crate) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Each secret once, with the file and line that lists it.
fn secrets(lists: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut secrets = BTreeMap::new();
    for file in files(lists)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (number, line) in fs::read_to_string(&file)?.lines().enumerate() {
            if line.len() >= SHORTEST {
                secrets.entry(line.to_owned()).or_insert_with(|| format!("{name}:{}", number + 1));
            }
        }
    }
    Ok(secrets)
}

/// The forms in which a secret may turn up.
fn disguises(secret: &str) -> Vec<(&'static str, String)> {
    let json = serde_json::Value::from(secret).to_string();
    let json = json.trim_matches('"');
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("as it is", secret.to_owned()),
        ("JSON", json.to_owned()),
        ("JSON with escaped slashes", json.replace('/', "\\/")),
        ("URL-encoded", utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string()),
        ("URL-encoded", utf8_percent_encode(secret, UNRESERVED).to_string()),
        ("URL-encoded in lower case", lower_case_escapes(&utf8_percent_encode(secret, UNRESERVED).to_string())),
        ("hex", hex.to_uppercase()),
        ("hex with colons", spaced(secret, ":", |byte| format!("{byte:02x}"))),
        ("hex with spaces", spaced(secret, " ", |byte| format!("{byte:02x}"))),
        // As Rust's `{:?}` and many a language print an array.
        ("a list of bytes", spaced(secret, ", ", |byte| byte.to_string())),
        ("hex", hex),
    ];
    for offset in 0..3 {
        forms.push((BASE64, base64_inside(&STANDARD_NO_PAD, secret, offset)));
        forms.push(("base64url", base64_inside(&URL_SAFE_NO_PAD, secret, offset)));
    }
    let mut seen = BTreeSet::new();
    forms.retain(|(_, text)| seen.insert(text.clone()));
    forms
}

/// `%2F` as `%2f`; letters outside of escapes stay.
fn lower_case_escapes(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |lower, part| {
        let (escape, rest) = part.split_at(part.len().min(2));
        lower + "%" + &escape.to_ascii_lowercase() + rest
    })
}

fn spaced(secret: &str, between: &str, byte: impl Fn(u8) -> String) -> String {
    secret.bytes().map(byte).collect::<Vec<_>>().join(between)
}

/// The characters that stand for `secret` alone when it begins `offset` bytes (modulo three) into an encoded text.
fn base64_inside(engine: &GeneralPurpose, secret: &str, offset: usize) -> String {
    let text = [&[0; 2][..offset], secret.as_bytes()].concat();
    let encoded = engine.encode(&text);
    let shared_with_before = [0, 2, 3][offset];
    let shared_with_after = usize::from(!text.len().is_multiple_of(3));
    encoded[shared_with_before..encoded.len() - shared_with_after].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalr/XUtnFEMI+K7MDENG=bPxRfiCYEXAMPLE";

    fn found_in(output: &str) -> Vec<&'static str> {
        let folder = tempfile::tempdir().unwrap();
        let (lists, outputs) = (folder.path().join("lists"), folder.path().join("outputs/some-test"));
        fs::create_dir_all(&lists).unwrap();
        fs::create_dir_all(&outputs).unwrap();
        fs::write(lists.join("some-test.txt"), format!("short\n{SECRET}\n")).unwrap();
        fs::write(outputs.join("stderr"), output).unwrap();
        let findings = search(&lists, folder.path().join("outputs").as_path()).unwrap();
        assert_eq!((findings.secrets, findings.files), (1, 1));
        assert!(findings.leaks.iter().all(|leak| leak.secret == "some-test.txt:2"));
        findings.leaks.into_iter().map(|leak| leak.form).collect()
    }

    #[test]
    fn a_secret_is_found_in_every_disguise() {
        let disguises = disguises(SECRET);
        assert!(disguises.len() >= 11);
        for (form, text) in disguises {
            assert!(found_in(&format!("before {text} after")).contains(&form), "{form}: {text}");
        }
    }

    #[test]
    fn a_secret_inside_a_longer_base64_text_is_found() {
        for before in ["", "u", "us", "use"] {
            let basic = STANDARD_NO_PAD.encode(format!("{before}{SECRET}:x"));
            assert!(found_in(&basic).contains(&"base64"), "{basic}");
        }
    }

    #[test]
    fn a_secret_that_goes_on_in_the_next_line_is_found() {
        let encoded = STANDARD_NO_PAD.encode(format!("user:{SECRET}"));
        for end in ["\n", "\r\n"] {
            let (first, rest) = encoded.split_at(20);
            assert!(found_in(&format!("{first}{end}{rest}{end}")).contains(&"base64"), "{end:?}");
        }
    }

    #[test]
    fn output_without_secrets_is_clean() {
        assert!(found_in("short, ASIAEXAMPLE, wJalr/XUtnFEMI+K7MDENG").is_empty());
    }
}
