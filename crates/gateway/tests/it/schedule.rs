//! One random schedule: a world, a time of crashes, faults and address changes with one or two instances, then quiet.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::Ipv4Addr,
    time::Duration,
};

use bowline_gateway::{Action, Key, Memory, Observed, Outcome, Pace, Site};

use crate::{
    chance::Chance,
    model::{Ec2, Habits},
};

/// The plan, or a mutant of it.
pub(crate) type Planner = fn(&Observed, Option<Ipv4Addr>, &Memory, &Site, Duration) -> Vec<Action>;

const OWNER: &str = "site-1";
const ADDRESSES: u64 = 4;
/// Longest time to quiet: four pauses between changes, and changes of four minutes.
const PATIENCE: u64 = 4 * 3600;

/// One running program.
struct Instance {
    memory: Memory,
    todo: VecDeque<Action>,
    looked_at: u64,
    next: u64,
    /// Creates that this run of it has sent, by the time.
    created: BTreeMap<Key, u64>,
    /// It believes in another address than the true one.
    confused: bool,
}

pub(crate) struct Schedule {
    chance: Chance,
    ec2: Ec2,
    site: Site,
    instances: Vec<Instance>,
    address: Ipv4Addr,
    calm: bool,
    crashes: u64,
    planner: Planner,
}

/// Everything that went wrong under this seed; empty when all is well.
pub(crate) fn wrongs(seed: u64, planner: Planner) -> Vec<String> {
    let mut schedule = Schedule::new(seed, planner);
    schedule.chaos();
    schedule.bounded();
    schedule.quiet();
    schedule.ec2.wrongs
}

fn address(n: u64) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, u8::try_from(n + 1).unwrap())
}

impl Schedule {
    fn new(seed: u64, planner: Planner) -> Self {
        let mut chance = Chance::new(seed);
        let two = chance.percent(30);
        let lag = if chance.percent(50) { chance.below(12) } else { 0 };
        let habits = Habits {
            lag,
            delay: if chance.percent(50) { chance.below(20) } else { 0 },
            pending: if chance.percent(20) { chance.below(60) } else { 0 },
            modify_time: 30 + chance.below(300),
            flips_late: chance.percent(50),
            rollbacks: if chance.percent(20) { 1 + chance.below(2) } else { 0 },
            quota: if chance.percent(10) { 8 } else { 50 },
            strict: !two && lag == 0,
        };
        let mut ec2 = Ec2 { habits, ..Ec2::default() };
        furnish(&mut ec2, &mut chance);
        let site = Site { owner: OWNER.to_owned(), name: None, pace: Pace::default() };
        let confused = two && chance.percent(30);
        let mut instances = vec![Instance::new(false)];
        instances.extend(two.then(|| Instance::new(confused)));
        Self { chance, ec2, site, instances, address: address(0), calm: false, crashes: 0, planner }
    }

    /// Half an hour to two, with everything that can happen.
    fn chaos(&mut self) {
        let end = 1800 + self.chance.below(5400);
        while self.ec2.now < end {
            if self.chance.percent(4) {
                let n = self.chance.below(ADDRESSES);
                self.address = address(n);
            }
            let turn = usize::try_from(self.chance.below(2)).unwrap() % self.instances.len();
            if self.chance.percent(3) {
                self.crash(turn);
            }
            self.step(turn);
            self.ec2.now += if self.chance.percent(60) { self.chance.below(5) } else { self.chance.below(90) };
        }
    }

    /// However often the address moves and whoever disagrees: at most four changes in a quarter of an hour for each run of
    /// each instance.
    fn bounded(&mut self) {
        let most = self.instances.len() as u64 * 4 * (self.ec2.now / 900 + 1) + 4 * self.crashes;
        for connection in self.ec2.connections.iter().filter(|one| one.modifies > most) {
            self.ec2.wrongs.push(format!("{} was changed {} times", connection.id, connection.modifies));
        }
    }

    /// No faults and one address, until nothing is left to do; then it must be as it should.
    fn quiet(&mut self) {
        self.calm = true;
        self.ec2.habits.rollbacks = 0;
        self.instances.iter_mut().for_each(|instance| instance.confused = false);
        if self.chance.percent(50) {
            self.instances.truncate(1);
        }
        let before: Vec<u64> = self.ec2.connections.iter().map(|one| one.modifies).collect();
        let end = self.ec2.now + PATIENCE;
        let mut idle = 0;
        while self.ec2.now < end && idle < 4 {
            let busy = (0..self.instances.len()).any(|turn| self.step(turn));
            let finished = !busy && self.ec2.unfinished(self.address, &self.site).is_empty();
            idle = if finished { idle + 1 } else { 0 };
            self.ec2.now += 15;
        }
        let left = self.ec2.unfinished(self.address, &self.site);
        self.ec2.wrongs.extend(left);
        for (connection, before) in self.ec2.connections.iter().zip(before) {
            if connection.modifies > before + 2 {
                self.ec2.wrongs.push(format!(
                    "{} was changed {} times in quiet",
                    connection.id,
                    connection.modifies - before
                ));
            }
        }
    }

    fn crash(&mut self, turn: usize) {
        let pause = self.chance.below(120);
        self.crashes += 1;
        let confused = self.instances[turn].confused;
        self.instances[turn] = Instance { next: self.ec2.now + pause, ..Instance::new(confused) };
    }

    /// One call or one look of an instance; whether it did or means to do anything.
    fn step(&mut self, turn: usize) -> bool {
        if self.ec2.now < self.instances[turn].next {
            return false;
        }
        match self.instances[turn].todo.pop_front() {
            Some(action) => self.act(turn, &action),
            None => self.look(turn),
        }
        !self.instances[turn].todo.is_empty()
    }

    fn look(&mut self, turn: usize) {
        if !self.calm && self.chance.percent(5) {
            return;
        }
        let now = Duration::from_secs(self.ec2.now);
        let observed = self.ec2.look();
        let instance = &mut self.instances[turn];
        instance.memory.looked(&observed, &self.site, now);
        let wrong = Ipv4Addr::new(198, 51, 100, 77);
        let believed = if instance.confused { wrong } else { self.address };
        let actions = (self.planner)(&observed, Some(believed), &instance.memory, &self.site, now);
        let mut touched = BTreeSet::new();
        for action in &actions {
            if let Action::Modify { connection, .. } = action
                && !touched.insert(connection.clone())
            {
                self.ec2.wrongs.push(format!("two changes of {connection} in one look"));
            }
        }
        instance.looked_at = self.ec2.now;
        instance.todo = actions.into();
        if !(self.planner)(&observed, None, &instance.memory, &self.site, now).is_empty() {
            self.ec2.wrongs.push("something is done without an address".to_owned());
        }
    }

    fn act(&mut self, turn: usize, action: &Action) {
        let fate = if self.calm { 99 } else { self.chance.below(100) };
        let now = Duration::from_secs(self.ec2.now);
        let outcome = match fate {
            0..3 => return self.crash(turn),
            3..7 => Outcome::Refused,
            7..11 => Outcome::Unknown,
            11..15 => {
                self.send(turn, action);
                Outcome::Unknown
            }
            15..18 => {
                self.send(turn, action);
                return self.crash(turn);
            }
            _ => self.send(turn, action),
        };
        self.instances[turn].memory.acted(action, outcome, now);
        if let Action::Create { key, .. } = action {
            let created = &mut self.instances[turn].created;
            if outcome != Outcome::Refused {
                created.insert(*key, self.ec2.now);
            }
        }
    }

    fn send(&mut self, turn: usize, action: &Action) -> Outcome {
        let instance = &self.instances[turn];
        match action {
            Action::Create { key, .. } => {
                let again = instance.created.get(key).is_some_and(|at| self.ec2.now - at < 110);
                if again {
                    self.ec2.wrongs.push(format!("{}: {key:?} is created again at once", self.ec2.now));
                }
                self.ec2.create(*key, &self.site, instance.looked_at)
            }
            Action::Modify { connection, gateway } => self.ec2.modify(connection, gateway),
            Action::Delete { gateway } => self.ec2.delete(gateway, &self.site),
        }
    }
}

impl Instance {
    fn new(confused: bool) -> Self {
        Self {
            memory: Memory::default(),
            todo: VecDeque::new(),
            looked_at: 0,
            next: 0,
            created: BTreeMap::new(),
            confused,
        }
    }
}

/// Hand-made and own gateways, connections of ours and of others, and what others left at our next address.
fn furnish(ec2: &mut Ec2, chance: &mut Chance) {
    let numbers = [65_000, 4_200_000_000];
    let first = numbers[usize::from(chance.percent(20))];
    let owner = chance.percent(50).then_some(OWNER);
    let old = ec2.add(Some(address(0).into()), first, owner);
    for _ in 0..=chance.below(3) {
        ec2.connect(&old, true);
    }
    if chance.percent(20) {
        let other = ec2.add(Some(address(3).into()), numbers[1], None);
        ec2.connect(&other, true);
    }
    if chance.percent(20) {
        ec2.connect(&old, false);
    }
    if chance.percent(15) {
        let certified = ec2.add(None, first, None);
        ec2.connect(&certified, true);
    }
    if chance.percent(40) {
        let foreign = ec2.add(Some(address(1).into()), first, Some("site-2"));
        if chance.percent(50) {
            ec2.connect(&foreign, false);
        }
    }
    if chance.percent(20) {
        ec2.add(Some(address(2).into()), first, Some(OWNER));
    }
}
