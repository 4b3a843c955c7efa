//! The artifact cache beside nginx: what a hit costs, how soon a miss begins, what a crowd around one fill costs, and how
//! soon a full cache answers.

mod client;
mod hits;
mod rest;
mod servers;

use std::path::Path;

use crate::{Outcome, Tools, report::Report};

pub(crate) fn run(tools: &Tools, report: &mut Report) -> Outcome<()> {
    if !Path::new(servers::NGINX).exists() {
        report.skip("artifacts", "no nginx; apt-get install nginx-light wrk");
        return Ok(());
    }
    let stage = servers::Stage::new(tools)?;
    hits::run(&stage, report)?;
    rest::run(&stage, report)
}
