//! The broker machine against examples and against random schedules with suspends and clock steps.

use proptest::prelude::*;

use super::*;

fn start() -> Now {
    Now { boot: Duration::from_secs(1000), wall: Timestamp::from_second(1_800_000_000).unwrap() }
}

fn name() -> Name {
    Name::Profile("p".to_owned())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lease(key: &str, now: Now, life: u64) -> Lease {
    Lease { key: KeyId::new(key), obtained_at: now.wall, expires_at: Some(now.wall + seconds(life)) }
}

fn fetches(machine: &mut Machine) -> usize {
    std::iter::from_fn(|| machine.poll()).filter(|output| matches!(output, Output::Fetch { .. })).count()
}

/// Wanted, fetched once, good for `life`.
fn held(life: u64) -> (Machine, Now) {
    let (mut machine, now) = (Machine::default(), start());
    machine.handle(now, Input::Want(name()));
    assert_eq!(fetches(&mut machine), 1);
    machine.handle(now, Input::Obtained(name(), lease("k1", now, life)));
    assert_eq!(fetches(&mut machine), 0);
    (machine, now)
}

#[test]
fn renews_before_expiry_even_after_suspend() {
    let (mut machine, now) = held(3600);
    let (deadline, reason) = machine.next_wake().unwrap();
    assert!(deadline <= now.boot + seconds(1800));
    assert_eq!(reason, Reason::Due(name()));
    machine.handle(now.after(seconds(3000)), Input::Tick);
    assert_eq!(fetches(&mut machine), 1);
    assert!(machine.serving(&name(), now.after(seconds(3000)).wall).is_some());
}

#[test]
fn after_a_suspend_past_its_end_nothing_is_served_and_it_is_fetched_at_once() {
    let (mut machine, now) = held(3600);
    let woken = now.after(seconds(9000));
    assert!(machine.serving(&name(), woken.wall).is_none());
    machine.handle(woken, Input::Tick);
    assert_eq!(fetches(&mut machine), 1);
}

#[test]
fn a_wall_clock_that_was_set_ahead_makes_it_due() {
    let (mut machine, now) = held(3600);
    machine.handle(Now { boot: now.boot + seconds(60), wall: now.wall + seconds(3000) }, Input::Tick);
    assert_eq!(fetches(&mut machine), 0, "the least gap of a tenth of the life is kept");
    machine.handle(Now { boot: now.boot + seconds(361), wall: now.wall + seconds(3300) }, Input::Tick);
    assert_eq!(fetches(&mut machine), 1);
}

#[test]
fn however_many_ask_one_fetch_is_in_flight() {
    let (mut machine, now) = (Machine::default(), start());
    for _ in 0..50 {
        machine.handle(now, Input::Ask(name()));
    }
    assert_eq!(fetches(&mut machine), 1);
    assert!(machine.is_fetching(&name()));
}

#[test]
fn the_last_good_set_is_kept_on_failure_until_it_really_ends() {
    let (mut machine, now) = held(100);
    let due = now.after(seconds(50));
    machine.handle(due, Input::Tick);
    machine.handle(due, Input::Failed(name(), Kind::Unreachable, Retry::After(seconds(1))));
    assert!(machine.serving(&name(), now.after(seconds(99)).wall).is_some());
    assert!(machine.serving(&name(), now.after(seconds(100)).wall).is_none());
}

#[test]
fn a_refusal_is_not_repeated_until_files_change_or_somebody_asks_after_the_gap() {
    let (mut machine, now) = (Machine::default(), start());
    machine.handle(now, Input::Want(name()));
    machine.handle(now, Input::Failed(name(), Kind::LoginRequired, Retry::Never));
    assert_eq!(fetches(&mut machine), 1);
    assert_eq!(machine.next_wake(), None);
    machine.handle(now.after(seconds(4)), Input::Ask(name()));
    machine.handle(now.after(seconds(3600)), Input::Tick);
    assert_eq!(fetches(&mut machine), 0);
    machine.handle(now.after(seconds(3601)), Input::Ask(name()));
    assert_eq!(fetches(&mut machine), 1);
    machine.handle(now.after(seconds(3601)), Input::Failed(name(), Kind::LoginRequired, Retry::Never));
    machine.handle(now.after(seconds(3602)), Input::FilesChanged);
    assert_eq!(fetches(&mut machine), 1);
}

#[test]
fn a_refusal_while_a_good_set_is_held_is_asked_again_when_that_has_ended() {
    let (mut machine, now) = held(100);
    machine.handle(now.after(seconds(50)), Input::Tick);
    machine.handle(now.after(seconds(50)), Input::Failed(name(), Kind::Refused, Retry::Never));
    fetches(&mut machine);
    machine.handle(now.after(seconds(90)), Input::Ask(name()));
    assert_eq!(fetches(&mut machine), 0, "the set in memory answers");
    machine.handle(now.after(seconds(101)), Input::Ask(name()));
    assert_eq!(fetches(&mut machine), 1);
}

#[test]
fn an_endpoint_away_for_an_hour_is_asked_about_once_a_minute_and_noticed_when_back() {
    let (mut machine, mut now) = (Machine::default(), start());
    machine.handle(now, Input::Want(name()));
    let (mut tries, end) = (0, now.boot + seconds(3600));
    while now.boot < end {
        tries += fetches(&mut machine);
        machine.handle(now, Input::Failed(name(), Kind::Unreachable, Retry::After(seconds(1))));
        let (deadline, reason) = machine.next_wake().unwrap();
        assert_eq!(reason, Reason::Retry(name()));
        now = now.after(deadline.saturating_sub(now.boot));
        machine.handle(now, Input::Tick);
    }
    assert!((60..=70).contains(&tries), "{tries}");
    assert_eq!(fetches(&mut machine), 1);
    machine.handle(now, Input::Obtained(name(), lease("k", now, 3600)));
    assert_eq!(machine.poll(), Some(Output::Became { name: name(), health: Health::Good }));
}

#[test]
fn a_rejected_key_is_replaced_but_a_key_that_is_seconds_old_gets_time_to_spread() {
    let (mut machine, now) = held(3600);
    machine.handle(now.after(seconds(2)), Input::Rejected(name(), KeyId::new("k1")));
    assert_eq!(fetches(&mut machine), 0);
    machine.handle(now.after(seconds(2)), Input::Rejected(name(), KeyId::new("another")));
    assert_eq!(machine.next_wake().unwrap().0, now.boot + seconds(10));
    machine.handle(now.after(seconds(10)), Input::Tick);
    assert_eq!(machine.poll(), Some(Output::Fetch { name: name(), not: Some(KeyId::new("k1")) }));
}

#[test]
fn a_set_that_had_ended_when_it_came_is_never_served_and_not_hammered() {
    let (mut machine, now) = (Machine::default(), start());
    machine.handle(now, Input::Want(name()));
    machine.handle(now, Input::Obtained(name(), lease("k", now, 0)));
    assert!(machine.serving(&name(), now.wall).is_none());
    assert!(machine.next_wake().unwrap().0 >= now.boot + seconds(5));
}

#[test]
fn what_nobody_asks_for_any_more_is_left_to_end() {
    let (mut machine, now) = (Machine::default(), start());
    machine.handle(now, Input::Ask(name()));
    machine.handle(now, Input::Obtained(name(), lease("k", now, 60)));
    fetches(&mut machine);
    let mut later = now;
    let mut rounds = 0;
    while let Some((deadline, _)) = machine.next_wake() {
        later = later.after(deadline.saturating_sub(later.boot));
        machine.handle(later, Input::Tick);
        if fetches(&mut machine) > 0 {
            machine.handle(later, Input::Obtained(name(), lease(&format!("k{rounds}"), later, 60)));
        }
        rounds += 1;
        assert!(rounds < 200);
    }
    assert!(later.boot <= now.boot + seconds(3600) && rounds > 100);
    machine.handle(now.after(seconds(9000)), Input::Tick);
    assert_eq!(machine.next_wake(), None);
}

#[test]
fn a_rewritten_profile_is_fetched_anew_and_its_old_set_not_served() {
    let (mut machine, now) = held(3600);
    machine.handle(now.after(seconds(60)), Input::Replaced(name()));
    assert!(machine.serving(&name(), now.wall).is_none());
    assert_eq!(fetches(&mut machine), 1);
}

/// One step of a random schedule.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Suspend(u64),
    SetClock(i64),
    Wake,
    Ask,
    Reject,
    Succeed(u64),
    Fail(bool),
    Files,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (1_u64..120).prop_map(Step::Pass),
        1 => (60_u64..20_000).prop_map(Step::Suspend),
        1 => (-700_i64..700).prop_map(Step::SetClock),
        5 => Just(Step::Wake),
        2 => Just(Step::Ask),
        1 => Just(Step::Reject),
        6 => (1_u64..4000).prop_map(Step::Succeed),
        2 => any::<bool>().prop_map(Step::Fail),
        1 => Just(Step::Files),
    ];
    prop::collection::vec(step, 1..120)
}

/// What the world outside of the machine looks like.
struct World {
    machine: Machine,
    now: Now,
    in_flight: bool,
    served: u64,
    refused: bool,
    last_fetch: Option<Duration>,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            machine: Machine::default(),
            now: start(),
            in_flight: false,
            served: 0,
            refused: false,
            last_fetch: None,
        };
        world.feed(Input::Want(name()));
        world
    }

    fn feed(&mut self, input: Input) {
        self.machine.handle(self.now, input);
        while let Some(output) = self.machine.poll() {
            if let Output::Fetch { .. } = output {
                assert!(!self.in_flight, "two fetches in flight");
                self.in_flight = true;
                let gap = self.last_fetch.map(|last| self.now.boot.saturating_sub(last));
                assert!(
                    gap.is_none_or(|gap| gap >= renewal::SHORTEST_GAP || self.refused),
                    "two fetches within a second"
                );
                self.last_fetch = Some(self.now.boot);
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Pass(time) | Step::Suspend(time) => self.now = self.now.after(seconds(*time)),
            Step::SetClock(by) => self.now.wall += jiff::SignedDuration::from_secs(*by),
            Step::Wake => {
                let wake = self.machine.next_wake().map_or(self.now.boot, |(deadline, _)| deadline);
                self.now = self.now.after(wake.saturating_sub(self.now.boot));
                self.feed(Input::Tick);
            }
            Step::Ask => self.feed(Input::Ask(name())),
            Step::Reject => {
                if let Some(held) = self.machine.serving(&name(), self.now.wall).cloned() {
                    self.feed(Input::Rejected(name(), held.key));
                }
            }
            Step::Succeed(life) => self.end(Some(*life), false),
            Step::Fail(refused) => self.end(None, *refused),
            // A change of files is somebody's act: a try at once is right then.
            Step::Files => {
                self.refused = true;
                self.feed(Input::FilesChanged);
            }
        }
        self.check();
    }

    fn end(&mut self, life: Option<u64>, refused: bool) {
        if !std::mem::take(&mut self.in_flight) {
            return;
        }
        self.refused = refused;
        match life {
            Some(life) => {
                self.served += 1;
                self.feed(Input::Obtained(name(), lease(&format!("k{}", self.served), self.now, life)));
            }
            None if refused => self.feed(Input::Failed(name(), Kind::Refused, Retry::Never)),
            None => self.feed(Input::Failed(name(), Kind::Unreachable, Retry::After(seconds(1)))),
        }
    }

    fn check(&self) {
        if let Some(served) = self.machine.serving(&name(), self.now.wall) {
            assert!(served.usable_at(self.now.wall), "an ended set is served");
        }
        let remembered = matches!(self.machine.health(&name()), Health::Failing(Kind::Refused));
        let wakes = self.machine.next_wake().is_some();
        assert!(wakes || self.in_flight || remembered, "wanted, and nothing will ever wake it");
    }
}

proptest! {
    #[test]
    fn no_schedule_breaks_the_rules(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
    }

    #[test]
    fn a_steady_life_takes_one_fetch_per_rotation(life in 2_u64..5000, rounds in 1_usize..30) {
        let mut world = World::new();
        world.end(Some(life), false);
        let begin = world.now;
        for _ in 0..rounds {
            world.run(&Step::Ask);
            world.run(&Step::Wake);
            prop_assert!(world.machine.serving(&name(), world.now.wall).is_some(), "renewed too late");
            world.end(Some(life), false);
        }
        let time = (world.now.boot - begin.boot).as_secs_f64();
        let most = 1.0 + time / (life as f64 * 0.44).max(0.9);
        prop_assert!((world.served as f64) <= most + 1.0, "{} fetches in {time} s of {life} s leases", world.served);
    }
}

fn forgotten(machine: &mut Machine) -> usize {
    std::iter::from_fn(|| machine.poll()).filter(|output| *output == Output::Forgotten { name: name() }).count()
}

#[test]
fn what_the_last_one_lets_go_of_is_forgotten_and_not_before() {
    let (mut machine, now) = held(3600);
    machine.handle(now, Input::Want(name()));
    machine.handle(now, Input::Ask(name()));
    machine.handle(now, Input::Unwant(name()));
    assert_eq!((forgotten(&mut machine), machine.is_standing(&name())), (0, true));
    machine.handle(now, Input::Unwant(name()));
    assert_eq!((forgotten(&mut machine), machine.names().count()), (1, 0), "a job's questions end with its wish");
}

#[test]
fn who_waits_for_a_fetch_that_is_let_go_of_hears_of_its_end() {
    let (mut machine, now) = (Machine::default(), start());
    machine.handle(now, Input::Want(name()));
    machine.handle(now, Input::Unwant(name()));
    assert_eq!((forgotten(&mut machine), machine.is_fetching(&name())), (0, true));
    machine.handle(now, Input::Failed(name(), Kind::Config, Retry::Never));
    assert_eq!((forgotten(&mut machine), machine.next_wake()), (1, None));
}

#[test]
fn what_somebody_asked_for_is_forgotten_when_nobody_has_for_long() {
    let (mut machine, now) = (Machine::default(), start());
    machine.handle(now, Input::Ask(name()));
    machine.handle(now, Input::Failed(name(), Kind::Refused, Retry::Never));
    machine.handle(now.after(KEPT_FOR), Input::Tick);
    assert_eq!(forgotten(&mut machine), 0);
    machine.handle(now.after(KEPT_FOR + seconds(1)), Input::Tick);
    assert_eq!(forgotten(&mut machine), 1);
}
