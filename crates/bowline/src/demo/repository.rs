//! The small Maven repository that the demo makes: real POMs, real (nearly empty) jars, checksums, metadata.

use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};

use crate::crc32::crc32;

const GROUP: &str = "org/example/demo";

/// One artifact as the keys and contents that a repository holds for it.
pub(super) struct Artifact {
    /// Key and content.
    pub(super) files: Vec<(String, Vec<u8>)>,
}

impl Artifact {
    /// `org.example.demo:NAME:VERSION`.
    pub(super) fn new(name: &str, version: &str) -> Self {
        let stem = format!("{GROUP}/{name}/{version}/{name}-{version}");
        let pom = pom(name, version).into_bytes();
        let jar = jar(&format!("Manifest-Version: 1.0\r\nImplementation-Title: {name}\r\n\r\n"));
        let files = [(format!("{stem}.pom"), pom), (format!("{stem}.jar"), jar)];
        Self { files: files.into_iter().flat_map(with_checksum).collect() }
    }

    /// The key of its jar.
    pub(super) fn jar_key(name: &str, version: &str) -> String {
        format!("{GROUP}/{name}/{version}/{name}-{version}.jar")
    }
}

/// `maven-metadata.xml` of NAME with its checksum.
pub(super) fn metadata(name: &str, versions: &[&str]) -> Vec<(String, Vec<u8>)> {
    let list: String = versions.iter().fold(String::new(), |mut list, version| {
        write!(list, "<version>{version}</version>").expect("a String takes everything");
        list
    });
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metadata><groupId>org.example.demo</groupId>\
         <artifactId>{name}</artifactId><versioning><versions>{list}</versions></versioning></metadata>\n"
    );
    with_checksum((format!("{GROUP}/{name}/maven-metadata.xml"), text.into_bytes())).into()
}

fn with_checksum((key, content): (String, Vec<u8>)) -> [(String, Vec<u8>); 2] {
    let digest: String = Sha1::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let checksum = (format!("{key}.sha1"), digest.into_bytes());
    [(key, content), checksum]
}

fn pom(name: &str, version: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<project xmlns=\"http://maven.apache.org/POM/4.0.0\">\n  \
         <modelVersion>4.0.0</modelVersion>\n  <groupId>org.example.demo</groupId>\n  \
         <artifactId>{name}</artifactId>\n  <version>{version}</version>\n</project>\n"
    )
}

/// A zip with one stored file, `META-INF/MANIFEST.MF`: the smallest jar that every tool opens.
fn jar(manifest: &str) -> Vec<u8> {
    let name = b"META-INF/MANIFEST.MF";
    let content = manifest.as_bytes();
    let sizes = [crc32(content), content.len() as u32, content.len() as u32];
    let shared = |bytes: &mut Vec<u8>| {
        // Version 1.0, no flags, stored, 1980-01-01 00:00.
        bytes.extend([10, 0, 0, 0, 0, 0, 0, 0, 33, 0]);
        sizes.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
        bytes.extend([name.len() as u8, 0, 0, 0]);
    };
    let mut zip = b"PK\x03\x04".to_vec();
    shared(&mut zip);
    zip.extend(name);
    zip.extend(content);
    let directory = zip.len() as u32;
    zip.extend(b"PK\x01\x02\x0a\x00");
    shared(&mut zip);
    zip.extend([0; 14]);
    zip.extend(name);
    let length = zip.len() as u32 - directory;
    zip.extend(b"PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00");
    zip.extend(length.to_le_bytes());
    zip.extend(directory.to_le_bytes());
    zip.extend([0, 0]);
    zip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jar_opens_in_another_program() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.jar");
        bowline_base::atomic::write_private(&path, &jar("Manifest-Version: 1.0\r\n\r\n")).unwrap();
        let script =
            "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(z.namelist()[0])";
        let output = std::process::Command::new("python3").args(["-c", script]).arg(&path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "META-INF/MANIFEST.MF", "{output:?}");
    }
}
