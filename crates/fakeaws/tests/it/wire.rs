//! The listener on real sockets: what clients see of each kind of misbehaviour.

use std::{io, time::Duration};

use bowline_fakeaws::{Effect, FakeAws, Fault, Settings};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const ACCOUNTS: &str = "GET /assignment/accounts HTTP/1.1\r\nhost: fake\r\nconnection: close\r\n";

async fn fake() -> (FakeAws, String) {
    let fake = FakeAws::start(Settings::default()).await.unwrap();
    let token = fake.cloud().sign_in(bowline_host::clock::now()).access_token;
    let request = format!("{ACCOUNTS}x-amz-sso_bearer_token: {}\r\n\r\n", token.expose());
    (fake, request)
}

async fn ask(fake: &FakeAws, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(fake.addr()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn a_whole_answer_comes_when_nothing_was_ordered() {
    let (fake, request) = fake().await;
    let answer = ask(&fake, &request).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && body(&answer).contains("bowline-dev"), "{answer}");
    assert_eq!(fake.cloud().counts().calls["sso.ListAccounts.ok"], 1);
}

#[tokio::test]
async fn a_reset_a_cut_and_html_reach_the_client_as_such() {
    let (fake, request) = fake().await;
    fake.cloud().fault(Fault::new("sso.*", Effect::Reset).times(1));
    fake.cloud().fault(Fault::new("sso.*", Effect::Truncate(5)).times(1));
    fake.cloud().fault(Fault::new("sso.*", Effect::Html(200)).times(1));
    assert_eq!(ask(&fake, &request).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let cut = ask(&fake, &request).await.unwrap();
    let promised: usize = cut.split_once("content-length: ").unwrap().1.split_once('\r').unwrap().0.parse().unwrap();
    assert!(body(&cut).len() == 5 && promised > 5, "{cut}");
    assert!(ask(&fake, &request).await.unwrap().contains("<!doctype html>"));
    assert!(ask(&fake, &request).await.unwrap().contains("bowline-dev"));
}

#[tokio::test]
async fn hangs_and_stalls_keep_the_client_waiting() {
    let (fake, request) = fake().await;
    fake.cloud().fault(Fault::new("sso.*", Effect::Hang).times(1));
    fake.cloud().fault(Fault::new("sso.*", Effect::Stall(5)).times(1));
    let short = Duration::from_millis(150);
    for _ in 0..2 {
        assert!(timeout(short, ask(&fake, &request)).await.is_err());
    }
    let calls = fake.cloud().counts().calls;
    assert_eq!((calls["sso.ListAccounts.fault.hang"], calls["sso.ListAccounts.fault.stall"]), (1, 1));
}

#[tokio::test]
async fn a_client_that_goes_away_is_no_longer_in_flight() {
    let (fake, request) = fake().await;
    for effect in [Effect::Hang, Effect::Stall(5)] {
        fake.cloud().fault(Fault::new("sso.*", effect).times(1));
        assert!(timeout(Duration::from_millis(50), ask(&fake, &request)).await.is_err());
        let alone = async {
            loop {
                fake.cloud().clear_counts();
                ask(&fake, &request).await.unwrap();
                if fake.cloud().counts().peaks["sso.ListAccounts"] == 1 {
                    return;
                }
            }
        };
        timeout(Duration::from_secs(3), alone).await.unwrap();
    }
}

#[tokio::test]
async fn calls_in_flight_together_are_counted_as_a_peak() {
    let (fake, request) = fake().await;
    fake.cloud().fault(Fault::new("sso.*", Effect::Latency(Duration::from_millis(100))));
    let (one, two, three) = tokio::join!(ask(&fake, &request), ask(&fake, &request), ask(&fake, &request));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(fake.cloud().counts().peaks["sso.ListAccounts"], 3);
    fake.cloud().clear_counts();
    ask(&fake, &request).await.unwrap();
    assert_eq!(fake.cloud().counts().peaks["sso.ListAccounts"], 1);
}

#[tokio::test]
async fn dropped_it_is_gone_and_the_same_world_can_come_back() {
    let (fake, request) = fake().await;
    let (port, cloud) = (fake.addr().port(), fake.cloud().clone());
    drop(fake);
    tokio::task::yield_now().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let again = FakeAws::serve(port, cloud).await.unwrap();
    assert!(ask(&again, &request).await.unwrap().contains("bowline-dev"));
}
