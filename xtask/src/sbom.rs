//! The bill of materials: every package that is linked into the program, as CycloneDX JSON, from what cargo knows.
//!
//! It has neither date nor serial number: the same source gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::process::{capture, cargo};

const PROGRAM: &str = "bowline";

/// The document for this tree and this kind of machine.
pub(crate) fn document() -> Result<String, String> {
    let platform = capture(&mut crate::process::command("rustc", &["--print", "host-tuple"]))?;
    let words = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", platform.trim()];
    let metadata = serde_json::from_str(&capture(&mut cargo(&words))?).map_err(|error| error.to_string())?;
    let lock = std::fs::read_to_string(crate::place::root().join("Cargo.lock")).map_err(|error| error.to_string())?;
    Ok(format!("{:#}\n", of(&metadata, &checksums(&lock))?))
}

/// SHA-256 of each package, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let package = |block| Some(((value(block, "name")?, value(block, "version")?), value(block, "checksum")?));
    lock.split("[[package]]").filter_map(package).collect()
}

fn of(metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Result<Value, String> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> =
        list(&metadata["packages"]).into_iter().map(|package| (text(&package["id"]), package)).collect();
    let root = packages.iter().find(|(_, package)| package["name"] == PROGRAM).map(|(id, _)| id.clone());
    let root = root.ok_or("cargo knows no package `bowline`")?;
    let needs: BTreeMap<String, Vec<String>> =
        list(&metadata["resolve"]["nodes"]).iter().map(|node| (text(&node["id"]), linked(node))).collect();
    let reached = reached(&root, &needs);
    let component = |id: &String| packages.get(id).map(|package| component(package, checksums));
    let reference = |id: &String| packages.get(id).map(purl).unwrap_or_default();
    let components: Vec<Value> = reached.iter().filter(|id| **id != root).filter_map(component).collect();
    let edges: Vec<Value> = reached
        .iter()
        .map(|id| json!({ "ref": reference(id), "dependsOn": needs[id].iter().map(reference).collect::<Vec<_>>() }))
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(&root) },
        "components": components,
        "dependencies": edges,
    }))
}

/// What a package needs when it runs: neither its tests nor what builds it.
fn linked(node: &Value) -> Vec<String> {
    let is_linked = |edge: &&Value| {
        edge["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let edges = node["deps"].as_array().into_iter().flatten().filter(is_linked);
    let needs: BTreeSet<String> = edges.map(|edge| text(&edge["pkg"])).collect();
    needs.into_iter().collect()
}

fn reached(root: &str, needs: &BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(id) = open.pop() {
        if seen.insert(id.clone()) {
            open.extend(needs.get(&id).into_iter().flatten().cloned());
        }
    }
    seen
}

fn component(package: &Value, checksums: &BTreeMap<(String, String), String>) -> Value {
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    let kind = if name == PROGRAM { "application" } else { "library" };
    let mut component =
        json!({ "type": kind, "bom-ref": purl(package), "name": name, "version": version, "purl": purl(package) });
    if let Some(license) = package["license"].as_str() {
        // `MIT/Apache-2.0` is how it was written once.
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    if let Some(sum) = checksums.get(&(name, version)) {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
    }
    component
}

fn purl(package: &Value) -> String {
    format!("pkg:cargo/{}@{}", text(&package["name"]), text(&package["version"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_of_materials_names_every_package_that_is_linked() {
        let document = document().unwrap();
        assert_eq!(document, super::document().unwrap(), "the same source gives the same bytes");
        let bill: Value = serde_json::from_str(&document).unwrap();
        let components = bill["components"].as_array().unwrap();
        let listed: BTreeSet<String> =
            components.iter().map(|one| format!("{} v{}", text(&one["name"]), text(&one["version"]))).collect();
        let words = ["tree", "-p", PROGRAM, "--edges", "normal", "--prefix", "none", "--offline", "--format", "{p}"];
        let tree = capture(&mut cargo(&words)).unwrap();
        let package = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let linked: BTreeSet<String> = tree.lines().filter(|line| !line.is_empty()).map(package).collect();
        let missing: Vec<&String> =
            linked.iter().filter(|one| !one.starts_with("bowline v") && !listed.contains(*one)).collect();
        assert_eq!(missing, Vec::<&String>::new());
        let foreign = components.iter().filter(|one| !text(&one["name"]).starts_with("bowline-"));
        let incomplete: Vec<&Value> =
            foreign.filter(|one| one["hashes"].is_null() || one["licenses"].is_null()).collect();
        assert_eq!(incomplete, Vec::<&Value>::new());
        assert!(!listed.iter().any(|one| one.starts_with("proptest ")), "what tests need is not shipped");
    }
}
