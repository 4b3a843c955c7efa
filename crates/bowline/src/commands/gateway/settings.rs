//! Flags over environment over file, as one section of the configuration.

use bowline_base::Fault;
use bowline_gateway::Managed;

use crate::{
    cli::GatewaySettings,
    config::{FollowerSection, GatewaySection},
    environment::Environment,
};

/// The section that `flags` and `environment` ask for, on top of what a configuration file has.
pub(crate) fn section(
    flags: &GatewaySettings,
    environment: &Environment,
    file: Option<GatewaySection>,
) -> Result<GatewaySection, Fault> {
    let base = file.unwrap_or_default();
    let var = |name: &str| environment.var(name).map(str::trim).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let webhook = flags.webhook.clone().map(|url| FollowerSection { url, secret: None });
    let on_change = flags.on_change.as_ref().map(|command| command.0.clone());
    let providers = if flags.providers.is_empty() { base.providers } else { flags.providers.clone() };
    Ok(GatewaySection {
        identity: flags.profile.clone().or(base.identity),
        region: flags.region.clone().or(base.region),
        owner: flags.owner.clone().or(base.owner),
        name: flags.name.clone().or_else(|| var("CGW_NAME")).or(base.name),
        managed: managed(flags).unwrap_or(base.managed),
        providers,
        interval: flags.interval.unwrap_or(base.interval),
        settle_poll: flags.settle_poll.unwrap_or(base.settle_poll),
        confirm: flags.confirm.unwrap_or(base.confirm),
        min_change_interval: flags.min_change_interval.unwrap_or(base.min_change_interval),
        window: flags.window.or(base.window),
        on_change: on_change.unwrap_or(base.on_change),
        webhook: webhook.or(base.webhook),
        healthcheck: flags.healthcheck.clone().or(base.healthcheck),
        device_config: base.device_config,
        allow_test_addresses: flags.allow_test_addresses || base.allow_test_addresses,
    })
}

fn managed(flags: &GatewaySettings) -> Option<Managed> {
    let ids = (!flags.connections.is_empty()).then(|| Managed::Ids(flags.connections.clone()));
    ids.or_else(|| flags.tag.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser as _;

    use super::*;
    use crate::{
        cli::{Cli, Command, Gateway},
        config::parse,
    };

    fn read(arguments: &[&str], variables: &[(&str, &str)], file: &str) -> GatewaySection {
        let line = ["bowline", "gateway", "run"].iter().chain(arguments);
        let Command::Gateway(Gateway::Run(flags)) = Cli::parse_from(line).command else { unreachable!() };
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        section(&flags, &Environment::of(variables), parse(file).unwrap().gateway).unwrap()
    }

    #[test]
    fn nothing_is_needed_and_the_predecessors_name_is_taken() {
        assert_eq!(read(&[], &[], ""), GatewaySection::default());
        assert_eq!(read(&[], &[("CGW_NAME", "Office")], "").name.as_deref(), Some("Office"));
        assert_eq!(read(&["--name", "x"], &[("CGW_NAME", "Office")], "").name.as_deref(), Some("x"));
        assert_eq!(read(&[], &[("CGW_NAME", " ")], "").name, None);
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = "[gateway]\nowner = \"a\"\nvpn-connections = \"vpn-1\"\ninterval = \"1m\"\nconfirm = 3\n";
        let flags = ["--owner", "b", "--vpn-connection", "vpn-2", "--vpn-connection", "vpn-3", "--interval", "500ms"];
        let section = read(&flags, &[], file);
        assert_eq!(section.managed, Managed::Ids(vec!["vpn-2".to_owned(), "vpn-3".to_owned()]));
        assert_eq!((section.owner.as_deref(), section.interval), (Some("b"), Duration::from_millis(500)));
        assert_eq!(section.confirm, 3);
        let tag = Managed::Tag { key: "site".to_owned(), value: "x".to_owned() };
        assert_eq!(read(&["--tag", "site=x"], &[], file).managed, tag);
    }
}
