//! Who can tell the site's address: a web page, a DNS resolver, an interface, a command, a file. Each is written as one
//! text, on the command line and in `bowline.toml` alike, and read here once.

use std::{net::IpAddr, path::PathBuf};

use bowline_base::{Fault, Kind, url};
use http::Uri;

use super::whoami::Whoami;

/// Somebody who tells which address this site has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// A page that tells whoever asks where they come from.
    Web(Uri),
    /// A name that a resolver answers with the address of who asks.
    Dns(Whoami),
    /// A network interface of this machine: where it is the router itself.
    Interface(String),
    /// Program and arguments, without a shell; it prints the address.
    Command(Vec<String>),
    /// A file that something else keeps, with the address in it.
    File(PathBuf),
}

/// Three hosts of three operators that are reached over IPv4 only. The first is AWS itself.
const USUAL: [&str; 3] = ["https://checkip.amazonaws.com/", "https://api.ipify.org/", "https://ipv4.icanhazip.com/"];
/// The kernel's `IFNAMSIZ` without the zero at the end.
const LONGEST_INTERFACE: usize = 15;
const FORMS: &str = "give a URL like `https://checkip.amazonaws.com`, or `dns:opendns`, `dns://208.67.222.222/myip.opendns.com`, \
                     `interface:ppp0`, `command:/usr/local/bin/wan-ip`, `file:/run/wan-ip`";

impl Provider {
    /// Reads one of the forms: `https://…` (`http://` of this machine only), `dns:…`, `interface:NAME`, `command:PROGRAM
    /// ARGUMENTS` (split at blanks), `file:/PATH`.
    ///
    /// # Errors
    /// A `Config` fault: none of these, or one that nobody could be asked by.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let read = match text.split_once(':') {
            Some(("dns", rest)) => Whoami::parse(rest).map(Self::Dns),
            Some(("interface", name)) => interface(name),
            Some(("command", line)) => command(line),
            Some(("file", path)) => file(path),
            _ => web(text),
        };
        // What stands before the `@` of a DNS provider is the name that is asked for.
        let shown = || if text.starts_with("dns:") { text.to_owned() } else { url::harmless(text) };
        read.map_err(|why| {
            Fault::new(Kind::Config, "ip-provider", format!("the address provider `{}` {why}", shown())).hint(FORMS)
        })
    }

    /// The ones that are asked when none are given.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        USUAL.iter().map(|url| Self::Web(Uri::from_static(url))).collect()
    }

    /// Whether asking it bothers nobody else's server.
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        match self {
            Self::Web(uri) => uri.host().is_some_and(is_loopback),
            Self::Dns(whoami) => whoami.resolver.ip().is_loopback(),
            Self::Interface(_) | Self::Command(_) | Self::File(_) => true,
        }
    }

    /// As messages name it: a page by its host, anything else as it was given.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Web(uri) => uri.authority().map_or("", http::uri::Authority::as_str).to_owned(),
            Self::Dns(whoami) => format!("dns:{whoami}"),
            Self::Interface(name) => format!("interface:{name}"),
            // Its arguments may hold what is nobody's business.
            Self::Command(argv) => format!("command:{}", argv.first().map_or("", String::as_str)),
            Self::File(path) => format!("file:{}", path.display()),
        }
    }
}

fn web(text: &str) -> Result<Provider, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "is not a URL")?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err("is not an absolute URL");
    };
    if authority.as_str().contains('@') {
        return Err("holds a user name, and a request has no place for it");
    }
    match scheme {
        "https" => Ok(Provider::Web(uri)),
        "http" if is_loopback(authority.host()) => Ok(Provider::Web(uri)),
        "http" => Err("is plain http to another machine"),
        _ => Err("is neither http nor https"),
    }
}

fn interface(name: &str) -> Result<Provider, &'static str> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/';
    match name {
        "" | "." | ".." => Err("names no interface"),
        _ if name.len() > LONGEST_INTERFACE || name.contains(odd) => Err("has a name that no interface can have"),
        _ => Ok(Provider::Interface(name.to_owned())),
    }
}

fn command(line: &str) -> Result<Provider, &'static str> {
    let argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    if argv.is_empty() { Err("names no program") } else { Ok(Provider::Command(argv)) }
}

fn file(path: &str) -> Result<Provider, &'static str> {
    // `file:///run/wan-ip` is what a URL of a file looks like.
    let path = path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    if path.starts_with('/') { Ok(Provider::File(PathBuf::from(path))) } else { Err("is not an absolute path") }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_asked_over_tls_or_on_this_machine() {
        assert_eq!(Provider::usual().len(), 3);
        for good in ["https://ip.example", "http://127.0.0.1:8080/ip", "http://[::1]:1", "http://localhost:1"] {
            assert!(matches!(Provider::parse(good), Ok(Provider::Web(_))), "{good}");
        }
        for bad in ["http://ip.example", "ip.example", "/ip", "ftp://ip.example", "http://127.0.0.1.example", ""] {
            assert_eq!(Provider::parse(bad).unwrap_err().kind, Kind::Config, "{bad}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let fault = Provider::parse("https://me:hush@ip.example").unwrap_err();
        assert!(
            fault.message.contains("ip.example` holds a user name") && !fault.message.contains("hush"),
            "{fault:?}"
        );
    }

    #[test]
    fn it_is_known_who_is_asked() {
        for (text, ours) in [
            ("https://ip.example", false),
            ("http://127.0.0.1:1/a", true),
            ("http://[::1]:1", true),
            ("dns:opendns", false),
            ("interface:ppp0", true),
            ("file:/run/wan-ip", true),
        ] {
            assert_eq!(Provider::parse(text).unwrap().is_of_this_machine(), ours, "{text}");
        }
    }

    #[test]
    fn the_other_forms_are_read_and_named() {
        let names = [
            ("dns:opendns", "dns:myip.opendns.com@208.67.222.222:53"),
            ("interface:ppp0", "interface:ppp0"),
            ("command:/bin/wan-ip --token s3cret", "command:/bin/wan-ip"),
            ("file:/run/wan-ip", "file:/run/wan-ip"),
            ("file:///run/wan-ip", "file:/run/wan-ip"),
            ("https://ip.example:8443/me", "ip.example:8443"),
        ];
        for (text, name) in names {
            assert_eq!(Provider::parse(text).unwrap().name(), name, "{text}");
        }
        let argv = ["wan-ip", "-4"].map(str::to_owned).to_vec();
        assert_eq!(Provider::parse("command:wan-ip  -4 ").unwrap(), Provider::Command(argv));
        for (bad, why) in [
            ("interface:", "names no interface"),
            ("interface:../etc", "no interface can have"),
            ("interface:a-name-of-16-chr", "no interface can have"),
            ("command: ", "names no program"),
            ("file:run/wan-ip", "not an absolute path"),
            ("file:", "not an absolute path"),
            ("dns:quad9", "dns"),
        ] {
            let fault = Provider::parse(bad).unwrap_err();
            assert!(fault.message.contains(why) && fault.hint.is_some(), "{bad}: {fault}");
        }
    }
}
