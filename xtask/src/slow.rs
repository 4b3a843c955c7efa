//! The parts that only `cargo xtask test --full` runs, in one table.

/// A test that is too long for the gate.
pub(crate) struct Slow {
    /// Its name below `tests/`, as the runner prints it.
    pub(crate) test: &'static str,
    /// What it shows that the gate does not.
    pub(crate) shows: &'static str,
}

/// All of them.
pub(crate) const SLOW: &[Slow] = &[
    Slow {
        test: "load::no_request_fails_in_a_minute_of_rotations",
        shows: "64 connections for 60 s, one rotation a second",
    },
    Slow {
        test: "rotation::no_way_out_has_a_gap_in_a_ten_minute_run_of_twenty_second_sessions",
        shows: "every way out for 10 minutes, a rotation every ten seconds",
    },
    Slow { test: "demo::a_minute_of_demo_has_no_failure", shows: "`demo --for 60s` rotates at least ten times" },
    Slow {
        test: "bazel::bazel_builds_through_the_proxy_while_sessions_of_two_seconds_rotate",
        shows: "Debian's Bazel: `http_file`, `http_archive`, `jvm_maven_import_external`",
    },
    Slow {
        test: "bazel::bazel_builds_from_central_through_the_proxy_by_the_downloader_config_alone",
        shows: "a workspace that names Maven Central is not edited",
    },
    Slow {
        test: "bazel::bazel_never_takes_a_broken_download_or_other_bytes_for_what_was_pinned",
        shows: "Bazel's own checksums, and that nothing broken is kept",
    },
    Slow {
        test: "bazel::bazel_fetches_on_when_s3_breaks_off_in_the_middle",
        shows: "what the proxy resumes, Bazel does not notice",
    },
    Slow {
        test: "gateway::strongswan::strongswan_comes_up_with_what_is_rendered_and_again_after_a_change_of_address",
        shows: "Debian's strongSwan at both ends of the VPN, before and after a change of address",
    },
    Slow {
        test: "week::a_build_every_hour_of_a_week_and_maven_itself_every_day",
        shows: "168 builds, seven of them by the real `mvn`, S3 away for a day",
    },
    Slow {
        test: "vpn::page::an_operator_manages_users_in_chromium",
        shows: "the VPN's page in headless Chromium, by keyboard and on a phone; screenshots in target/screenshots",
    },
    Slow {
        test: "vpn::resolved::systemd_resolved_is_told_of_the_link_and_asks_nobody_past_it",
        shows: "Debian's systemd-resolved on the laptop: told of the link, its file as it was, no question past the link",
    },
    Slow {
        test: "status::the_page_of_the_demo_is_live_in_chromium",
        shows: "the status page in headless Chromium, by keyboard and on a phone; screenshots in target/screenshots",
    },
    Slow {
        test: "vpn::api::requests_that_never_end_are_ended",
        shows: "the API's ten seconds for a head and for a body, with a hundred slow clients at once",
    },
    Slow {
        test: "tunnel::traffic::ten_thousand_idle_connections_cost_less_than_forty_kib_each",
        shows: "what 10,000 connections cost that do nothing",
    },
    Slow {
        test: "tunnel::peers::a_server_that_was_killed_and_started_again_has_its_clients_back_without_their_doing",
        shows: "a client of WireGuard looks again after 15 s of silence",
    },
    Slow {
        test: "gateway::schedules::a_larger_sample_with_lost_answers_converges",
        shows: "a dozen random schedules through the real gateway, with answers that are lost and changes that EC2 takes back",
    },
    Slow {
        test: "fargate::the_kept_schema_is_that_of_the_aws_provider",
        shows: "the bindings on PyPI hold the schema that deploy/terraform is checked against",
    },
    Slow {
        test: "metrics::a_real_prometheus_scrapes_the_daemon_and_takes_rules_and_dashboard",
        shows: "Debian's Prometheus and promtool take metrics, alerts and every question of the dashboard",
    },
    Slow { test: "packaging::hadolint_has_nothing_to_say_about_the_image", shows: "hadolint's rules for Dockerfiles" },
    Slow {
        test: "packaging::the_program_alone_in_an_empty_root_serves_as_nobody",
        shows: "the program linked statically, alone in a read-only root, as uid 65532 without a capability",
    },
    Slow { test: "fargate::checkov_finds_nothing_in_the_modules", shows: "checkov's rules for Terraform" },
];

/// The nextest filter that leaves them out.
pub(crate) fn gate_filter() -> String {
    let names: Vec<String> = SLOW.iter().map(|slow| format!("test(={})", slow.test)).collect();
    format!("not ({})", names.join(" or "))
}
