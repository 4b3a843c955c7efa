//! How names are found while the link is up: the resolver's file says the link's resolvers, and then again what it said.
//!
//! Where systemd-resolved answers (`127.0.0.53`), the file stays as it is, and resolved is told the link's resolvers instead:
//! for every name, and until the link is gone.
//!
//! The file is written in place: it may be a link, or mounted (containers), and neither survives being replaced. What a
//! crash leaves half-written is put back from the record.

use std::{fs, io, net::IpAddr, path::Path};

use bowline_base::{Fault, Kind};

use super::{record::Resolver, routing::Names};

/// What systemd-resolved knows of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// It does not run here, or there is nothing to tell.
    Unasked,
    /// It asks the link's resolvers.
    Told,
    /// It runs, perhaps, and could not be told.
    Deaf,
}

/// The file as it is to be.
pub(super) fn text(resolvers: &[IpAddr], search: &[String]) -> Vec<u8> {
    let mut text = "# Written by `bowline vpn connect`; `bowline vpn disconnect` puts back what was here.\n".to_owned();
    if !search.is_empty() {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    for resolver in resolvers {
        text.push_str(&format!("nameserver {resolver}\n"));
    }
    text.into_bytes()
}

/// What is to be kept before the file is changed. None where there is no file, or the link brings no resolver.
pub(super) fn before(path: &Path, resolvers: &[IpAddr], search: &[String]) -> Result<Option<Resolver>, Fault> {
    if resolvers.is_empty() {
        return Ok(None);
    }
    match fs::read(path) {
        Ok(before) => Ok(Some(Resolver { path: path.to_path_buf(), before, ours: text(resolvers, search) })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Fault::new(Kind::Config, "vpn", format!("cannot read `{}`", path.display())).cause(cause)),
    }
}

/// How names are found through a link with these resolvers. Who only resolved answers would find none where it asks, bound to
/// a device, and is not let through.
pub(super) fn way(resolvers: &[IpAddr], file: Option<&Resolver>, resolved: Resolved) -> Names {
    if resolvers.is_empty() {
        Names::AsBefore
    } else if resolved == Resolved::Deaf && file.is_none_or(leads_to_resolved) {
        Names::InsideUnlessBound
    } else {
        Names::Inside
    }
}

/// systemd-resolved's own address: whoever finds it in the file asks resolved.
const STUBS: [&str; 2] = ["127.0.0.53", "127.0.0.54"];

/// Whether the file leads to systemd-resolved and to nobody else.
pub(super) fn leads_to_resolved(resolver: &Resolver) -> bool {
    let text = String::from_utf8_lossy(&resolver.before);
    let mut named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim).peekable();
    named.peek().is_some() && named.all(|address| STUBS.contains(&address))
}

/// `resolvectl` with each of these arguments: the link's resolvers answer for every name. With the link, resolved forgets it.
pub(super) fn for_resolved(interface: &str, resolvers: &[IpAddr], search: &[String]) -> Vec<Vec<String>> {
    let words = |verb: &str, rest: &mut dyn Iterator<Item = String>| {
        [verb.to_owned(), interface.to_owned()].into_iter().chain(rest).collect::<Vec<_>>()
    };
    vec![
        words("dns", &mut resolvers.iter().map(IpAddr::to_string)),
        words("domain", &mut ["~.".to_owned()].into_iter().chain(search.iter().cloned())),
        words("default-route", &mut ["yes".to_owned()].into_iter()),
        // Inside the link nobody listens, and the VPN's resolver speaks plainly.
        words("dnsovertls", &mut ["no".to_owned()].into_iter()),
    ]
}

/// Writes ours.
pub(super) fn point_inside(resolver: &Resolver) -> Result<(), Fault> {
    write(&resolver.path, &resolver.ours)
}

/// Writes what was there, byte by byte; somebody else's text that came meanwhile stays.
pub(super) fn put_back(resolver: &Resolver) -> Result<(), Fault> {
    let now = fs::read(&resolver.path).unwrap_or_default();
    let ours = resolver.ours.starts_with(&now) || now == resolver.before;
    if ours && now != resolver.before { write(&resolver.path, &resolver.before) } else { Ok(()) }
}

#[expect(clippy::disallowed_methods, reason = "it must stay the same file; the record holds its old bytes")]
fn write(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    fs::write(path, bytes).map_err(|cause| {
        Fault::new(Kind::Config, "vpn", format!("cannot write `{}`", path.display()))
            .hint("as root: sudo bowline vpn connect")
            .cause(cause)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_resolveds_is_told_from_others() {
        let resolver = |text: &str| Resolver { path: "x".into(), before: text.into(), ours: Vec::new() };
        for (text, leads) in [
            ("# made\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n", true),
            ("nameserver 192.168.1.1\nnameserver 127.0.0.53\n", false),
            ("nameserver 127.0.0.1\n", false),
            ("# nameserver 127.0.0.53\n", false),
            ("", false),
        ] {
            assert_eq!(leads_to_resolved(&resolver(text)), leads, "{text}");
        }
        let told = for_resolved("bowline0", &[[10, 77, 0, 1].into()], &["corp".to_owned()]);
        assert_eq!(told[0], ["dns", "bowline0", "10.77.0.1"]);
        assert_eq!(told[1], ["domain", "bowline0", "~.", "corp"]);
    }

    #[test]
    fn ways_for_names_are_shut_only_where_the_link_has_one() {
        let resolver = |text: &str| Resolver { path: "x".into(), before: text.into(), ours: Vec::new() };
        let (stub, other) = (resolver("nameserver 127.0.0.53\n"), resolver("nameserver 192.168.1.1\n"));
        let inside = [IpAddr::from([10, 77, 0, 1])];
        for resolved in [Resolved::Unasked, Resolved::Told, Resolved::Deaf] {
            assert_eq!(way(&[], Some(&stub), resolved), Names::AsBefore);
            assert_eq!(way(&inside, Some(&other), resolved), Names::Inside, "{resolved:?}");
        }
        assert_eq!(way(&inside, Some(&stub), Resolved::Told), Names::Inside);
        assert_eq!(way(&inside, Some(&stub), Resolved::Deaf), Names::InsideUnlessBound);
        assert_eq!(way(&inside, None, Resolved::Deaf), Names::InsideUnlessBound);
    }

    #[test]
    fn the_file_comes_back_byte_by_byte_and_half_of_ours_counts_as_ours() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("real"), folder.path().join("resolv.conf"));
        bowline_base::atomic::write(&path, b"nameserver 192.168.1.1\n\xff", 0o644).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        let kept = before(&link, &[[10, 77, 0, 1].into()], &["corp".to_owned()]).unwrap().unwrap();
        point_inside(&kept).unwrap();
        assert!(fs::read_to_string(&path).unwrap().ends_with("search corp\nnameserver 10.77.0.1\n"));
        for cut in [kept.ours.len(), 30, 0] {
            write(&path, &kept.ours[..cut]).unwrap();
            put_back(&kept).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"nameserver 192.168.1.1\n\xff");
        }
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write(&path, b"nameserver 9.9.9.9\n").unwrap();
        put_back(&kept).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"nameserver 9.9.9.9\n", "somebody else's");
    }
}
