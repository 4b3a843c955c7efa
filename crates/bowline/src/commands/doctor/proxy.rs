//! The way out: proxy variables as tools read them, and the files of trusted authorities.

use std::path::{Path, PathBuf};

use bowline_base::{Fault, shell::quoted_path};
use bowline_host::{Check, tls};
use http::Uri;

use super::{Patient, ids, verdict::*};

/// What must never be asked of a proxy: this machine, and the two metadata services.
const NEAR: [&str; 4] = ["localhost", "127.0.0.1", "169.254.169.254", "169.254.170.2"];

pub(super) fn checks(patient: &Patient) -> Vec<Check> {
    let variables = Variables::of(|name| patient.world.environment.var(name).map(ToOwned::to_owned));
    let bundles = ["AWS_CA_BUNDLE", "SSL_CERT_FILE"].into_iter().filter_map(|name| {
        let path = PathBuf::from(patient.world.environment.var(name)?);
        let roots = tls::roots(&path);
        Some((name, path, roots))
    });
    let mut checks = syntax(&variables);
    checks.extend(excluded(&variables));
    checks.extend(authorities(&bundles.collect::<Vec<_>>()));
    checks
}

/// The proxy variables that are set, under the name that is set.
#[derive(Default)]
struct Variables {
    proxies: Vec<(String, String)>,
    excluded: Option<(String, String)>,
}

impl Variables {
    fn of(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let either = |name: &str| {
            let names = [name.to_owned(), name.to_lowercase()];
            names.into_iter().find_map(|name| lookup(&name).map(|value| (name, value)))
        };
        let proxies = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"].into_iter().filter_map(either).collect();
        Self { proxies, excluded: either("NO_PROXY") }
    }
}

fn syntax(variables: &Variables) -> Vec<Check> {
    let id = ids::PROXY_SYNTAX;
    let mut wrong: Vec<Check> = variables
        .proxies
        .iter()
        .filter_map(|(name, value)| {
            let (why, example) = (flaw(value)?, "http://proxy.example:3128");
            Some(failed(id, format!("{name} {why}"), Some(format!("export {name}={example}"))))
        })
        .collect();
    if let Some((name, value)) = &variables.excluded {
        let strange: Vec<&str> =
            value.split(',').map(str::trim).filter(|part| part.contains("://") || part.contains(' ')).collect();
        if !strange.is_empty() {
            let why = format!("{name} has `{}`: it is a list of hosts between commas", strange.join("`, `"));
            wrong.push(failed(id, why, Some(format!("export {name}={}", NEAR.join(",")))));
        }
    }
    or_ok(wrong, id, || match variables.proxies.as_slice() {
        [] => "no proxy is set: everything is reached directly".to_owned(),
        set => set.iter().map(|(name, value)| format!("{name} is {}", place(value))).collect::<Vec<_>>().join(", "),
    })
}

/// What is wrong with a proxy's address; never repeats it, since it may hold a password.
fn flaw(value: &str) -> Option<&'static str> {
    let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
    let Ok(uri) = whole.parse::<Uri>() else { return Some("is no address") };
    match uri.scheme_str() {
        _ if uri.host().is_none_or(str::is_empty) => Some("names no host"),
        Some("http" | "https") if uri.port().is_none() && uri.port_u16().is_none() && whole.ends_with(':') => {
            Some("has a colon and no port")
        }
        Some("http" | "https") => None,
        _ => Some("is neither http nor https; Bowline speaks to no other kind of proxy"),
    }
}

/// Host and port, without what stands before the `@`.
pub(super) fn place(value: &str) -> &str {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let rest = rest.split('/').next().unwrap_or(rest);
    rest.rsplit_once('@').map_or(rest, |(_, place)| place)
}

fn excluded(variables: &Variables) -> Option<Check> {
    let (name, _) = variables.proxies.first()?;
    let list: Vec<&str> = variables.excluded.iter().flat_map(|(_, value)| value.split(',').map(str::trim)).collect();
    let missing: Vec<&str> = NEAR.into_iter().filter(|near| !list.iter().any(|entry| covers(entry, near))).collect();
    if missing.is_empty() {
        return Some(ok(ids::PROXY_EXCLUDED, "this machine and the metadata addresses do not go through the proxy"));
    }
    let why = format!(
        "{name} is set, and NO_PROXY does not name {}: other tools ask the proxy for them (Bowline never does)",
        missing.join(", ")
    );
    let all: Vec<&str> = list.iter().copied().filter(|entry| !entry.is_empty()).chain(missing).collect();
    Some(degraded(ids::PROXY_EXCLUDED, why, format!("export NO_PROXY={}", all.join(","))))
}

/// `*`, the host itself, a domain above it, or a network of whole bytes.
fn covers(entry: &str, host: &str) -> bool {
    if let Some((network, bits)) = entry.split_once('/') {
        let bytes = bits.parse::<usize>().map_or(4, |bits| bits / 8);
        return network.split('.').take(bytes).eq(host.split('.').take(bytes)) && host.contains('.');
    }
    entry == "*" || entry.eq_ignore_ascii_case(host)
}

fn authorities(bundles: &[(&str, PathBuf, Result<usize, Fault>)]) -> Vec<Check> {
    let id = ids::PROXY_CA;
    let check = |name: &str, path: &Path, roots: &Result<usize, Fault>| match roots {
        Ok(count) => ok(id, format!("{name}: {count} certificates in `{}`", path.display())),
        Err(fault) => {
            let fix = format!(
                "unset {name}   # or let it name a PEM file: openssl x509 -in {} -noout -subject",
                quoted_path(path)
            );
            failed(id, format!("{name}: {}", fault.chain()), Some(fix))
        }
    };
    let told: Vec<Check> = bundles.iter().map(|(name, path, roots)| check(name, path, roots)).collect();
    or_ok(told, id, || "neither AWS_CA_BUNDLE nor SSL_CERT_FILE is set: Mozilla's authorities are trusted".to_owned())
}

#[cfg(test)]
mod tests {
    use bowline_host::Verdict;

    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        Variables::of(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn addresses_are_read_as_tools_do_and_passwords_are_not_repeated() {
        for good in ["http://proxy:3128", "proxy:3128", "https://u:hunter2@proxy.example", "http://[::1]:3128/"] {
            let checks = syntax(&variables(&[("https_proxy", good)]));
            assert_eq!(checks[0].verdict, Verdict::Ok, "{good}: {}", checks[0].why);
            assert!(!checks[0].why.contains("hunter2"), "{}", checks[0].why);
        }
        for bad in ["http://u:hunter2@pro xy", "socks5://hunter2@proxy:1080", "http://"] {
            let check = &syntax(&variables(&[("HTTPS_PROXY", bad)]))[0];
            assert_eq!((check.verdict, check.fix.is_some()), (Verdict::Failed, true), "{bad}");
            assert!(!check.why.contains("hunter2"), "{}", check.why);
        }
        let list = &syntax(&variables(&[("NO_PROXY", "localhost 127.0.0.1, http://x")]))[0];
        assert!(list.verdict == Verdict::Failed && list.why.contains("`http://x`"), "{}", list.why);
    }

    #[test]
    fn what_is_near_must_be_excluded_where_there_is_a_proxy() {
        let check = |no: &str| excluded(&variables(&[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", no)])).unwrap();
        assert_eq!(check("localhost,127.0.0.0/8,169.254.0.0/16").verdict, Verdict::Ok);
        assert_eq!(check("*").verdict, Verdict::Ok);
        let some = check("corp.example,127.0.0.1");
        assert_eq!(some.verdict, Verdict::Degraded);
        let fix = "export NO_PROXY=corp.example,127.0.0.1,localhost,169.254.169.254,169.254.170.2";
        assert_eq!(some.fix.as_deref(), Some(fix));
        assert!(excluded(&variables(&[])).is_none());
    }

    #[test]
    fn a_bundle_is_counted_or_its_variable_is_named() {
        let wrong = tls::roots(Path::new("/nowhere"));
        let checks = authorities(&[("AWS_CA_BUNDLE", "/b".into(), Ok(3)), ("SSL_CERT_FILE", "/nowhere".into(), wrong)]);
        assert_eq!([checks[0].verdict, checks[1].verdict], [Verdict::Ok, Verdict::Failed]);
        assert!(checks[0].why.contains("3 certificates") && checks[1].fix.as_ref().unwrap().starts_with("unset SSL_"));
    }
}
