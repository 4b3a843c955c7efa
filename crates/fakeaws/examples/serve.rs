//! Runs a fake AWS for tests in other languages: `serve [PORT [SETTINGS-JSON [BUCKET=DIRECTORY]...]]`.
//!
//! Prints one JSON line when it is ready, then serves until it is killed.
#![expect(clippy::print_stdout, reason = "an example that is a program: its one line is its interface")]

use std::{error::Error, path::Path};

use bowline_fakeaws::{FakeAws, Scenario, Settings};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().map_or(Ok(0), |port| port.parse())?;
    let mut settings = Settings::default();
    if let Some(patch) = arguments.next() {
        settings.patch(&serde_json::from_str(&patch)?)?;
    }
    let fake = FakeAws::start_on(port, settings.clone()).await?;
    let world = Scenario::furnish(fake.cloud(), &settings);
    for bucket in arguments {
        let (name, directory) = bucket.split_once('=').ok_or("a bucket is given as NAME=DIRECTORY")?;
        fake.cloud().add_directory(name, Path::new(directory));
    }
    let line = json!({
        "endpoint": fake.endpoint(),
        "region": world.region,
        "account_id": world.account_id,
        "role": world.role,
        "role_arn": world.role_arn,
        "bucket": world.bucket,
        "start_url": world.start_url,
        "access_key_id": world.user.key_id.as_str(),
        "secret_access_key": world.user.secret_key.expose(),
    });
    println!("{line}");
    std::future::pending().await
}
