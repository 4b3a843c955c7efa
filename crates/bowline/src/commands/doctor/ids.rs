//! Every check that `doctor` knows, by its stable id: scripts and the guide depend on them.

/// The id of a check; there are no others than those below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id(&'static str);

impl Id {
    /// `files.mode`
    pub(super) fn as_str(self) -> &'static str {
        self.0
    }
}

macro_rules! ids {
    ($($name:ident = $id:literal, $means:literal;)*) => {
        $(pub(super) const $name: Id = Id($id);)*
        /// Every id, and what is right when the check is `ok`.
        pub(super) const ALL: &[(Id, &str)] = &[$(($name, $means)),*];
    };
}

ids! {
    FILES_TOML = "files.toml", "bowline.toml has no mistake, and every profile that it names resolves";
    FILES_AWS = "files.aws", "~/.aws/config and ~/.aws/credentials can be read, and say what they seem to say";
    FILES_PROFILE = "files.profile", "every profile that says where its credentials come from resolves";
    FILES_LEGACY_SSO = "files.legacy-sso", "no profile signs in by sso_start_url without an sso_session";
    FILES_SSO_SCOPE = "files.sso-scope", "every sso-session asks for sso:account:access";
    FILES_PROCESS = "files.process", "the program of every credential_process is there";
    FILES_ENVIRONMENT = "files.environment", "the variables that Bowline reads can be read";
    FILES_MODE = "files.mode", "files and directories with secrets are this user's, and nobody else reads them";
    FILES_DIRECTORY = "files.directory", "the directories for leases and sign-ins are there";
    CLOCK_DRIFT = "clock.drift", "this machine's clock is within 30 s of AWS's; 5 minutes are too much for a signature";
    NETWORK_STS = "network.sts", "STS answers";
    NETWORK_SSO = "network.sso", "IAM Identity Center's portal answers";
    NETWORK_OIDC = "network.oidc", "IAM Identity Center's token service answers";
    NETWORK_S3 = "network.s3", "S3 answers";
    NETWORK_ROLES_ANYWHERE = "network.rolesanywhere", "IAM Roles Anywhere answers";
    NETWORK_LOGS = "network.logs", "CloudWatch Logs answers";
    NETWORK_OTHER = "network.other", "another endpoint that something configured needs answers";
    CERTIFICATES_PAIR = "certificates.pair", "certificate and key can be read, belong together, and AWS can take them";
    CERTIFICATES_END = "certificates.end", "more than a third of the certificate's life is left";
    CERTIFICATES_CHAIN = "certificates.chain", "the certificates between it and the trust anchor outlive it";
    PORTS_DAEMON = "ports.daemon", "the status page's address is free, or our daemon has it";
    PORTS_ENDPOINT = "ports.endpoint", "the endpoint's addresses are free, or our daemon has them";
    PORTS_ARTIFACTS = "artifacts.port", "the repository's addresses are free, or a repository answers on them";
    PROXY_SYNTAX = "proxy.syntax", "HTTPS_PROXY, HTTP_PROXY and NO_PROXY are written as tools read them";
    PROXY_EXCLUDED = "proxy.excluded", "loopback and the metadata addresses do not go through the proxy";
    PROXY_CA = "proxy.ca", "the files of AWS_CA_BUNDLE and SSL_CERT_FILE hold certificates";
    KEYS_FILE = "keys.file", "no long-lived access key lies in the AWS files";
    KEYS_ENVIRONMENT = "keys.environment", "no long-lived access key stands in the environment";
    DAEMON_RUNNING = "daemon.running", "the daemon answers, for the same files and endpoints";
    DAEMON_SOCKET = "daemon.socket", "the socket is open to whom it should be open to";
    DAEMON_VERSION = "daemon.version", "the daemon is of this version";
    DAEMON_READY = "daemon.ready", "what the daemon is to serve, it serves";
    DAEMON_CONTAINER_URI = "daemon.container-uri", "the endpoint that the environment names for credentials answers";
    SSO_PROFILE = "sso.profile", "the profile or sso-session is there";
    SSO_SESSION = "sso.session", "the profile signs in by an sso-session";
    SSO_SCOPE = "sso.scope", "its sso-session asks for sso:account:access";
    SSO_CACHE = "sso.cache", "the cache of sign-ins can be written to";
    SSO_TOKEN = "sso.token", "somebody is signed in, and the sign-in renews itself";
    ARTIFACTS_CONFIG = "artifacts.config", "the repository's configuration has no mistake";
    ARTIFACTS_UPSTREAM = "artifacts.upstream", "each bucket can be listed, each directory is there";
    AUDIT_CHAIN = "audit.chain", "the audit log is whole, and every line follows from the one before";
    VAULT_STORE = "vault.store", "the vault can be read, and says to whom it is sealed";
    VAULT_KEY = "vault.key", "a key, a passphrase or an agent of this machine may open it";
    DELEGATION_KEY = "delegation.key", "the manager's long-lived key is sealed";
    GATEWAY_CONNECTIONS = "gateway.connections", "the VPN connections that are meant are there";
    GATEWAY_PERMISSIONS = "gateway.permissions", "EC2 allows every call that a change needs (dry run)";
    GATEWAY_PROVIDERS = "gateway.providers", "everybody who is asked for the address names the same one";
    GATEWAY_CGNAT = "gateway.cgnat", "the site's address is public and its own";
    VPN_PORTS = "vpn.ports", "the VPN's addresses are free, or our daemon has them";
    VPN_PING = "vpn.ping", "the system lets clients ping through the tunnel";
    VPN_BUFFERS = "vpn.buffers", "the system grants receive buffers that a fast client needs";
    VPN_ENDPOINT = "vpn.endpoint", "it is set where clients find the server";
    VPN_EGRESS = "vpn.egress", "clients reach nothing more than most servers mean";
    VPN_MASTER_KEY = "vpn.master-key", "there is a master key, and nobody else reads it";
    VPN_STORE = "vpn.store", "users can be read and changed where they are kept";
    NOTIFY_CHANNELS = "notify.channels", "somebody is told of what needs a person, as [notify] says";
    NOTIFY_DESKTOP = "notify.desktop", "the program that shows messages on the desktop is there";
    NOTIFY_WEBHOOK = "notify.webhook", "the webhook's secret can be read, and its server answers";
    NOTIFY_COMMAND = "notify.command", "the command is there and can be run";
    NOTIFY_FILE = "notify.file", "the file with what goes on can be written";
    GATEWAY_STARTUP = "gateway.startup", "the tunnels begin by themselves after a change";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_id_is_a_part_and_a_word_and_there_once() {
        let ids: BTreeSet<&str> = ALL.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids.len(), ALL.len());
        assert!(ids.iter().all(|id| id.split('.').count() == 2 && !id.contains(' ')), "{ids:?}");
    }
}
