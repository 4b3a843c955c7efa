//! The media type by the file's name. S3 mostly has `binary/octet-stream`, which tells nobody anything.

/// The type for `key`, else what the upstream said, else bytes. Never a content encoding: a `.gz` is a file.
pub(crate) fn of<'a>(key: &str, given: Option<&'a str>) -> &'a str {
    let name = key.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    by_extension(&extension).or_else(|| given.filter(|text| is_telling(text))).unwrap_or("application/octet-stream")
}

fn by_extension(extension: &str) -> Option<&'static str> {
    Some(match extension {
        "jar" | "war" | "ear" | "aar" => "application/java-archive",
        "pom" | "xml" | "xsd" => "text/xml",
        "sha1" | "md5" | "sha256" | "sha512" | "txt" => "text/plain",
        "asc" => "application/pgp-signature",
        "module" | "json" => "application/json",
        "html" | "htm" => "text/html",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "xz" => "application/x-xz",
        "bz2" => "application/x-bzip2",
        "zst" => "application/zstd",
        "tar" => "application/x-tar",
        _ => return None,
    })
}

fn is_telling(given: &str) -> bool {
    !matches!(given, "" | "binary/octet-stream" | "application/octet-stream" | "application/x-www-form-urlencoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_then_the_upstream_then_bytes() {
        assert_eq!(of("g/a/1/a-1.jar", Some("binary/octet-stream")), "application/java-archive");
        assert_eq!(of("g/a/1/a-1.pom.sha1", None), "text/plain");
        assert_eq!(of("x/LICENSE", Some("text/x-licence")), "text/x-licence");
        assert_eq!(of("x.y/LICENSE", Some("binary/octet-stream")), "application/octet-stream");
    }
}
