//! Terraform's S3 backend, which is the AWS SDK for Go: state and its lock in S3 with credentials from our endpoint.

use std::{process::Command, time::Duration};

use bowline_fakeaws::Bucket;

use crate::harness::{World, skip, terraform};

const PLAN: &str = "\
terraform {
  backend \"s3\" {
    bucket         = \"state\"
    key            = \"site/terraform.tfstate\"
    region         = \"us-east-1\"
    use_path_style = true
    use_lockfile   = true
  }
}

resource \"terraform_data\" \"site\" {
  input = \"knot\"
}

output \"site\" {
  value = terraform_data.site.output
}
";

/// `terraform ARGUMENTS` as the child of `bowline exec build`.
fn under_bowline(world: &World, terraform: &Command, arguments: &[&str]) -> Command {
    let mut command = world.bowline(&["exec", "build", "--"]);
    command.arg(terraform.get_program()).args(arguments).current_dir(world.path("site"));
    let variables = terraform.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.envs(variables);
    command
}

#[test]
fn terraform_keeps_its_state_in_s3_with_sessions_that_end_while_it_works() {
    let world = World::new("terraform", |settings| settings.role_lifetime = Duration::from_secs(4));
    let Some(terraform) = terraform(&world) else { skip!("Terraform's S3 backend: no terraform on PATH") };
    world.sign_in();
    world.cloud().add_bucket("state", Bucket::memory("us-east-1"));
    world.write("site/main.tf", PLAN);
    for arguments in [
        &["init", "-input=false", "-no-color"][..],
        &["apply", "-input=false", "-no-color", "-auto-approve"],
        &["output", "-no-color", "-raw", "site"],
    ] {
        let end = world.run_foreign("terraform", &mut under_bowline(&world, &terraform, arguments));
        assert_eq!(end.code, Some(0), "{arguments:?}: {}{}", end.stdout, end.stderr);
        assert!(arguments[0] != "output" || end.stdout == "knot", "{}", end.stdout);
    }
    let counts = world.cloud().counts();
    let of = |key: &str| counts.objects.iter().find(|(name, _)| name.ends_with(key)).map(|(_, calls)| *calls);
    assert!(of("s3.PutObject state/site/terraform.tfstate").is_some(), "{:?}", counts.objects);
    assert!(of("s3.PutObject state/site/terraform.tfstate.tflock").is_some(), "{:?}", counts.objects);
    assert_eq!(counts.sum("s3.PutObject"), counts.sum("s3.PutObject.200"), "{:?}", counts.calls);
}
