//! How names are found while the link is up: the resolver's file says the link's resolvers, and then again what it said.
//!
//! The file is written in place: it may be a link, or mounted (containers), and neither survives being replaced. What a
//! crash leaves half-written is put back from the record.

use std::{fs, io, net::IpAddr, path::Path};

use bowline_base::{Fault, Kind};

use super::record::Resolver;

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
