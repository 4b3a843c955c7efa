//! To CloudWatch Logs and back: in order, nothing lost and nothing twice, whatever AWS does in between.

use std::{sync::Arc, time::Duration};

use bowline_audit::sink::cloudwatch::{Destination, Shipper};
use bowline_aws::{Aws, Endpoints, Region, logs::Stream};
use bowline_base::FixedIdentity;
use bowline_fakeaws::{Effect, FakeAws, Fault, Settings};
use bowline_host::{HttpWire, client::Outside};

use crate::world::{World, issued, now};

struct Sky {
    fake: FakeAws,
    world: World,
}

impl Sky {
    async fn new() -> Self {
        let fake = FakeAws::start(Settings::default()).await.unwrap();
        fake.cloud().add_log_group("bowline");
        Self { fake, world: World::with_files_of(5000) }
    }

    fn shipper(&self) -> Shipper {
        let wire = Arc::new(HttpWire::new(&Outside::default()).unwrap());
        let endpoints = Endpoints::everything_at(&format!("http://{}", self.fake.addr())).unwrap();
        let destination = Destination {
            aws: Aws::new(wire, endpoints),
            region: Region::parse("us-east-1").unwrap(),
            identity: Arc::new(FixedIdentity::new(self.fake.cloud().add_user("auditor"))),
            stream: Stream { group: "bowline".to_owned(), name: "host-1".to_owned() },
        };
        Shipper::new(self.world.log.places().clone(), destination)
    }

    /// Writes records and signs them.
    fn write(&self, from: usize, to: usize) {
        for number in from..to {
            self.world.log.record(now(), &issued(&format!("profile-{number}"), "mvn")).unwrap();
        }
        self.world.log.sign(now()).unwrap();
    }

    /// The stream holds exactly the log.
    fn assert_same(&self) {
        let there: Vec<String> = self.fake.cloud().log_lines("bowline", "host-1");
        let here: Vec<String> = self.world.text().lines().map(str::to_owned).collect();
        assert_eq!(there, here);
    }
}

#[tokio::test]
async fn every_line_arrives_once_and_in_order_across_files() {
    let sky = Sky::new().await;
    let mut shipper = sky.shipper();
    assert_eq!(shipper.ship().await.unwrap(), 0);
    sky.write(0, 30);
    assert!(shipper.ship().await.unwrap() > 30);
    sky.assert_same();
    sky.write(30, 31);
    assert_eq!(shipper.ship().await.unwrap(), 2);
    sky.assert_same();
    assert!(sky.world.files().len() > 2);
}

#[tokio::test]
async fn lines_that_are_not_signed_yet_wait() {
    let sky = Sky::new().await;
    sky.world.log.record(now(), &issued("build", "mvn")).unwrap();
    assert_eq!(sky.shipper().ship().await.unwrap(), 0);
    sky.world.log.sign(now()).unwrap();
    assert_eq!(sky.shipper().ship().await.unwrap(), 3);
}

#[tokio::test]
async fn an_outage_costs_time_and_no_line() {
    let sky = Sky::new().await;
    let mut shipper = sky.shipper();
    sky.write(0, 5);
    shipper.ship().await.unwrap();
    sky.fake
        .cloud()
        .fault(Fault::new("logs.*", Effect::Error { status: 503, code: "ServiceUnavailableException".into() }));
    for round in 1..4 {
        sky.write(round * 5, round * 5 + 5);
        assert!(shipper.ship().await.is_err());
    }
    sky.fake.cloud().clear_faults();
    shipper.ship().await.unwrap();
    sky.assert_same();
}

/// AWS took the batch and the answer was lost: neither a lost line nor a second copy.
#[tokio::test]
async fn a_lost_answer_is_no_second_copy() {
    let sky = Sky::new().await;
    let mut shipper = sky.shipper();
    sky.write(0, 5);
    shipper.ship().await.unwrap();
    sky.write(5, 9);
    sky.fake.cloud().fault(Fault::new("logs.PutLogEvents", Effect::Truncate(3)).times(1));
    assert!(shipper.ship().await.is_err());
    sky.assert_same();
    sky.write(9, 12);
    shipper.ship().await.unwrap();
    sky.assert_same();
    assert_eq!(sky.fake.cloud().counts().calls["logs.PutLogEvents.fault.truncate"], 1);
}

/// Killed between AWS's answer and the note of it.
#[tokio::test]
async fn a_process_that_forgot_how_far_it_was_asks_the_stream() {
    let sky = Sky::new().await;
    sky.write(0, 5);
    sky.shipper().ship().await.unwrap();
    std::fs::remove_file(sky.world.directory().join("cloudwatch.json")).unwrap();
    sky.write(5, 8);
    sky.shipper().ship().await.unwrap();
    sky.assert_same();
}

#[tokio::test]
async fn a_group_that_is_not_there_is_named_with_the_command_that_makes_it() {
    let sky = Sky::new().await;
    let fake = FakeAws::start(Settings::default()).await.unwrap();
    let sky = Sky { fake, ..sky };
    sky.write(0, 1);
    let fault = sky.shipper().ship().await.unwrap_err();
    assert_eq!(fault.hint.as_deref(), Some("make the group: `aws logs create-log-group --log-group-name bowline`"));
    sky.fake.cloud().add_log_group("bowline");
    sky.shipper().ship().await.unwrap();
    sky.assert_same();
}

#[tokio::test]
async fn a_hung_service_does_not_hold_a_record_up() {
    let sky = Sky::new().await;
    sky.write(0, 2);
    sky.fake.cloud().fault(Fault::new("logs.*", Effect::Hang));
    let mut shipper = sky.shipper();
    let hung = tokio::time::timeout(Duration::from_millis(300), shipper.ship()).await;
    assert!(hung.is_err());
    sky.write(2, 4);
    sky.fake.cloud().clear_faults();
    shipper.ship().await.unwrap();
    sky.assert_same();
}
