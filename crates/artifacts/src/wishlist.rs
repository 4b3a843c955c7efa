//! What a build will ask for, read from what it has: a lock file of rules_jvm_external, a POM, or a list of paths.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::xml::Element;

/// One file to have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wish {
    /// Below the repository, without a slash at its beginning.
    pub path: String,
    /// What the lock file promises, in lower-case hex.
    pub sha256: Option<String>,
}

/// Everything that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishlist {
    /// In order, each once.
    pub wishes: Vec<Wish>,
    /// What cannot be said from this file alone, with the reason.
    pub left_out: Vec<String>,
}

/// Why a text is none of the three.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WishlistError {
    /// JSON, but not of rules_jvm_external.
    #[error("this JSON is no `maven_install.json` of rules_jvm_external, version 1 or 2")]
    NotALock,
    /// XML, but no POM.
    #[error("this XML is no POM")]
    NotAPom,
    /// A line of a list.
    #[error("line {0} is neither a path below a repository nor group:artifact:version")]
    BadLine(usize),
}

impl Wishlist {
    /// Reads `text`, whichever of the three it is.
    ///
    /// # Errors
    /// It is none of them.
    pub fn read(text: &str) -> Result<Self, WishlistError> {
        let mut list = match text.trim_start().chars().next() {
            Some('{') => lock(text).ok_or(WishlistError::NotALock)?,
            Some('<') => pom(text).ok_or(WishlistError::NotAPom)?,
            _ => lines(text)?,
        };
        let mut seen = std::collections::BTreeSet::new();
        list.wishes.retain(|wish| seen.insert(wish.path.clone()));
        Ok(list)
    }

    fn wish(&mut self, path: String, sha256: Option<&str>) {
        self.wishes.push(Wish { path, sha256: sha256.map(str::to_ascii_lowercase) });
    }
}

/// A file of a release.
struct Coordinates<'a> {
    group: &'a str,
    artifact: &'a str,
    version: &'a str,
    classifier: Option<&'a str>,
    extension: &'a str,
}

impl Coordinates<'_> {
    /// `None` for what could leave the repository.
    fn path(&self) -> Option<String> {
        let Self { group, artifact, version, classifier, extension } = self;
        let classifier = classifier.map(|classifier| format!("-{classifier}")).unwrap_or_default();
        let path =
            format!("{}/{artifact}/{version}/{artifact}-{version}{classifier}.{extension}", group.replace('.', "/"));
        is_path(&path).then_some(path)
    }
}

fn is_path(path: &str) -> bool {
    let part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '$', '{', '?', '#']);
    path.split('/').all(part) && !path.contains(char::is_control) && !path.contains(char::is_whitespace)
}

fn lock(text: &str) -> Option<Wishlist> {
    let root: Value = serde_json::from_str(text).ok()?;
    match root.get("dependency_tree") {
        Some(tree) => first_version(tree),
        None => second_version(&root),
    }
}

/// `{"dependency_tree": {"dependencies": [{"coord": …, "file": "v1/https/repo/…", "url": …, "sha256": …}]}}`
fn first_version(tree: &Value) -> Option<Wishlist> {
    let mut list = Wishlist::default();
    for dependency in tree.get("dependencies")?.as_array()? {
        let text = |name: &str| dependency.get(name).and_then(Value::as_str);
        let coordinates = text("coord").unwrap_or_default();
        match coordinate_path(coordinates) {
            Some(path) => list.wish(path, text("sha256")),
            None => list.left_out.push(format!("`{coordinates}` names no file")),
        }
    }
    Some(list)
}

/// `{"version": "2", "artifacts": {"g:a[:packaging]": {"version": …, "shasums": {"jar": …, "sources": …}}}}`
fn second_version(root: &Value) -> Option<Wishlist> {
    let mut list = Wishlist::default();
    for (name, entry) in root.get("artifacts")?.as_object()? {
        let parts: Vec<&str> = name.split(':').collect();
        let (Some(group), Some(artifact), Some(version)) =
            (parts.first(), parts.get(1), entry.get("version").and_then(Value::as_str))
        else {
            list.left_out.push(format!("`{name}` names no version"));
            continue;
        };
        let extension = parts.get(2).copied().unwrap_or("jar");
        let sums = entry.get("shasums").and_then(Value::as_object);
        for (kind, sum) in sums.into_iter().flatten() {
            let plain = kind == "jar" || kind == extension;
            let classifier = if plain { parts.get(3).copied() } else { Some(kind.as_str()) };
            let extension = if plain { extension } else { "jar" };
            let file = Coordinates { group, artifact, version, classifier, extension };
            // A sum of null stands for an artifact that has no such file.
            match (file.path(), sum.as_str()) {
                (Some(path), Some(sum)) => list.wish(path, Some(sum)),
                (_, None) => {}
                (None, Some(_)) => list.left_out.push(format!("`{name}` names no file")),
            }
        }
    }
    Some(list)
}

/// `g:a:v`, `g:a:packaging:v` or `g:a:packaging:classifier:v`.
fn coordinate_path(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.trim().split(':').collect();
    let (classifier, extension, version) = match parts.as_slice() {
        [_, _, version] => (None, "jar", version),
        [_, _, packaging, version] => (None, *packaging, version),
        [_, _, packaging, classifier, version] => (Some(*classifier), *packaging, version),
        _ => return None,
    };
    Coordinates { group: parts[0], artifact: parts[1], version, classifier, extension }.path()
}

/// The dependencies that the POM itself names, with what its properties and its management say of their versions. Their own
/// dependencies are in their POMs, which are wished for too.
fn pom(text: &str) -> Option<Wishlist> {
    let root = Element::parse(text.as_bytes()).filter(|root| root.name == "project")?;
    let properties = properties(&root);
    let managed = managed(&root, &properties);
    let mut list = Wishlist::default();
    for dependency in root.each("dependencies", "dependency") {
        let value = |name: &str| dependency.value(name).and_then(|text| resolved(text, &properties));
        let (group, artifact) = (value("groupId").unwrap_or_default(), value("artifactId").unwrap_or_default());
        let version = value("version").or_else(|| managed.get(&(group.clone(), artifact.clone())).cloned());
        let Some(version) = version.filter(|version| !version.contains(['[', '(', ','])) else {
            list.left_out.push(format!("`{group}:{artifact}`: its version stands in a parent, or is a range"));
            continue;
        };
        let (classifier, kind) = (value("classifier"), value("type").unwrap_or_else(|| "jar".to_owned()));
        let file = |classifier, extension| Coordinates {
            group: &group,
            artifact: &artifact,
            version: &version,
            classifier,
            extension,
        };
        let both = [file(None, "pom").path(), file(classifier.as_deref(), &kind).path()];
        if both.iter().any(Option::is_none) {
            list.left_out.push(format!("`{group}:{artifact}:{version}` names no file"));
        }
        both.into_iter().flatten().for_each(|path| list.wish(path, None));
    }
    Some(list)
}

/// The versions that the POM's management gives, by group and artifact.
fn managed(root: &Element, properties: &BTreeMap<String, String>) -> BTreeMap<(String, String), String> {
    let version = |one: &Element| {
        let value = |name: &str| one.value(name).and_then(|text| resolved(text, properties));
        Some(((value("groupId")?, value("artifactId")?), value("version")?))
    };
    let management = root.child("dependencyManagement").into_iter();
    management.flat_map(|management| management.each("dependencies", "dependency")).filter_map(version).collect()
}

fn properties(root: &Element) -> BTreeMap<String, String> {
    let own = root.child("properties").into_iter().flat_map(|found| &found.children);
    let mut all: BTreeMap<String, String> = own.map(|one| (one.name.clone(), one.text.clone())).collect();
    for name in ["groupId", "artifactId", "version"] {
        let inherited = || root.child("parent").and_then(|parent| parent.value(name));
        if let Some(text) = root.value(name).or_else(inherited) {
            all.insert(format!("project.{name}"), text.to_owned());
        }
    }
    all
}

/// `text` with its `${…}` filled in; `None`: one is not known here.
fn resolved(text: &str, properties: &BTreeMap<String, String>) -> Option<String> {
    let mut text = text.to_owned();
    // A property may name another, but not itself.
    for _ in 0..8 {
        let Some((before, rest)) = text.split_once("${") else { return Some(text) };
        let (name, after) = rest.split_once('}')?;
        text = format!("{before}{}{after}", properties.get(name)?);
    }
    None
}

/// Paths or coordinates, one a line; blank lines and those that begin with `#` are left out.
fn lines(text: &str) -> Result<Wishlist, WishlistError> {
    let mut list = Wishlist::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let path = line.trim_start_matches('/');
        let path =
            if path.contains(':') { coordinate_path(path) } else { Some(path.to_owned()).filter(|path| is_path(path)) };
        list.wish(path.ok_or(WishlistError::BadLine(number))?, None);
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Wishlist::read(text).unwrap().wishes.into_iter().map(|wish| wish.path).collect()
    }

    #[test]
    fn both_versions_of_the_lock_file() {
        let first = r#"{"dependency_tree": {"version": "0.1.0", "dependencies": [
            {"coord": "g.h:a:1.0", "file": "x", "sha256": "AB"},
            {"coord": "g.h:a:jar:sources:1.0", "file": "x", "sha256": "cd"},
            {"coord": "g.h:b:aar:2.0", "sha256": null}]}}"#;
        let read = Wishlist::read(first).unwrap();
        assert_eq!(read.wishes[0], Wish { path: "g/h/a/1.0/a-1.0.jar".to_owned(), sha256: Some("ab".to_owned()) });
        assert_eq!(paths(first)[1..], ["g/h/a/1.0/a-1.0-sources.jar", "g/h/b/2.0/b-2.0.aar"]);
        let second = r#"{"version": "2", "artifacts": {
            "g.h:a": {"shasums": {"jar": "ab", "sources": "cd", "javadoc": null}, "version": "1.0"},
            "g.h:b:aar": {"shasums": {"aar": "ef"}, "version": "2.0"},
            "g.h:c:jar:linux": {"shasums": {"jar": "01"}, "version": "3"}}}"#;
        let expected =
            ["g/h/a/1.0/a-1.0.jar", "g/h/a/1.0/a-1.0-sources.jar", "g/h/b/2.0/b-2.0.aar", "g/h/c/3/c-3-linux.jar"];
        assert_eq!(paths(second), expected);
        assert_eq!(Wishlist::read("{\"a\": 1}"), Err(WishlistError::NotALock));
        assert_eq!(Wishlist::read("{"), Err(WishlistError::NotALock));
    }

    #[test]
    fn a_pom_s_dependencies_with_what_it_says_of_their_versions() {
        let text = "<project><version>9</version><properties><v>1.2</v><w>${v}</w></properties>
            <dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>m</artifactId><version>7</version>
            </dependency></dependencies></dependencyManagement><dependencies>
            <dependency><groupId>g.h</groupId><artifactId>a</artifactId><version>${w}</version></dependency>
            <dependency><groupId>g</groupId><artifactId>m</artifactId><type>war</type></dependency>
            <dependency><groupId>g</groupId><artifactId>own</artifactId><version>${project.version}</version><classifier>x</classifier></dependency>
            <dependency><groupId>g</groupId><artifactId>parent</artifactId></dependency>
            <dependency><groupId>g</groupId><artifactId>range</artifactId><version>[1,2)</version></dependency>
            </dependencies></project>";
        let read = Wishlist::read(text).unwrap();
        let expected = [
            "g/h/a/1.2/a-1.2.pom",
            "g/h/a/1.2/a-1.2.jar",
            "g/m/7/m-7.pom",
            "g/m/7/m-7.war",
            "g/own/9/own-9.pom",
            "g/own/9/own-9-x.jar",
        ];
        assert_eq!(paths(text), expected);
        assert_eq!(read.left_out.len(), 2, "{:?}", read.left_out);
        assert_eq!(Wishlist::read("<html></html>"), Err(WishlistError::NotAPom));
    }

    #[test]
    fn a_list_holds_paths_and_coordinates() {
        let text = "# mine\n\n/g/a/1/a-1.jar\ng:b:2\ng/a/1/a-1.jar\n";
        assert_eq!(paths(text), ["g/a/1/a-1.jar", "g/b/2/b-2.jar"]);
        assert_eq!(Wishlist::read("g/a\n../x\n"), Err(WishlistError::BadLine(2)));
    }

    proptest! {
        #[test]
        fn nothing_that_is_wished_for_leaves_the_repository(text in "[a-z./:${}\\\\%{}\"<>\\n ]{0,60}") {
            if let Ok(list) = Wishlist::read(&text) {
                for wish in list.wishes {
                    prop_assert!(wish.path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", wish.path);
                }
            }
        }
    }
}
