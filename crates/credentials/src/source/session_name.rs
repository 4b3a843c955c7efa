//! The name of a role session, which CloudTrail shows: the user's, else program, host and time.

use bowline_base::Timestamp;

/// STS takes 2 to 64 of `[\w+=,.@-]`.
const LONGEST: usize = 64;

/// What goes into `RoleSessionName`.
pub(super) fn session_name(wanted: Option<&str>, now: Timestamp) -> String {
    let made_up = || {
        let host = rustix::system::uname();
        named(&host.nodename().to_string_lossy(), now)
    };
    wanted.map_or_else(made_up, ToOwned::to_owned)
}

fn named(host: &str, now: Timestamp) -> String {
    let time = now.as_second().to_string();
    let host: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let room = LONGEST - "bowline--".len() - time.len();
    format!("bowline-{}-{time}", &host[..host.len().min(room)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_name_says_program_host_and_time_and_is_one_that_sts_takes() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        assert_eq!(named("build.corp", now), "bowline-build.corp-1800000000");
        let odd = named(&"ü_ host/".repeat(20), now);
        assert_eq!(odd.len(), LONGEST);
        assert!(odd.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)), "{odd}");
        assert_eq!(session_name(Some("mine"), now), "mine");
    }
}
