//! One site brought to where it belongs, and then the end: for cron, for scripts, for a first try.

use std::{net::Ipv4Addr, time::Duration};

use bowline_aws::ec2::Why;
use bowline_base::{Fault, Kind, units, wire::Wire};

use crate::{
    account::{Did, Look},
    address::Heed,
    job::Told,
    memory::Memory,
    outlook::Outlook,
    patrol::{Patrol, Round},
    plan::{Pace, Site},
    post::Post,
    selection::Unselected,
};

/// So many rounds in a row may fail in the same way before it is the end.
const TRIES: u32 = 3;

/// Where it ended.
#[derive(Debug)]
pub struct Arrived {
    /// The site's address.
    pub address: Ipv4Addr,
    /// How everything stands.
    pub outlook: Outlook,
}

/// Goes round after round until all is well.
///
/// # Errors
/// Why it is not: `Config` for a connection that is not there, `Unreachable` without an address or without EC2, `Refused`
/// where EC2 says no or `limit` has passed.
pub async fn once(patrol: &mut Patrol, wire: &dyn Wire, post: &Post, limit: Duration) -> Result<Arrived, Fault> {
    let (end, mut told, mut tally) = (wire.now().boot.saturating_add(limit), Told::default(), Tally::default());
    loop {
        let round = patrol.round().await;
        told.round(&round);
        let owner = round.look.as_ref().ok().and_then(|look| look.selection.owner.clone()).unwrap_or_default();
        round.news.iter().for_each(|news| post.tell(&owner, news));
        let wait = patrol.wait(&round);
        if let Some(arrived) = tally.judge(round, patrol.change().is_some())? {
            return Ok(arrived);
        }
        let left = end.saturating_sub(wire.now().boot);
        if left.is_zero() {
            let message = format!("not everything is in its place after {}", units::duration(limit));
            return Err(Fault::new(Kind::Refused, "gateway", message).hint("look again: `bowline gateway plan`"));
        }
        wire.sleep(wait.min(left)).await;
    }
}

/// How often in a row something failed.
#[derive(Debug, Default)]
struct Tally {
    silent: u32,
    blind: u32,
    refused: u32,
}

impl Tally {
    /// Whether this round is the last. `changing`: the end of a change has not been seen often enough yet.
    fn judge(&mut self, round: Round, changing: bool) -> Result<Option<Arrived>, Fault> {
        let (settled, address) = (round.is_settled(), round.address);
        let look = match round.look {
            Ok(look) => look,
            Err(error) => {
                self.blind += 1;
                let is_final = error.kind() != Kind::Unreachable || self.blind >= TRIES;
                return if is_final { Err(error.into()) } else { Ok(None) };
            }
        };
        self.blind = 0;
        if let Some(missing) = &look.selection.missing {
            return Err(not_ours(missing));
        }
        self.refusals(round.done)?;
        let reading = match round.asked.map(|asked| (asked.agreed, asked.heed)) {
            Some((Err(why), _)) => {
                self.silent += 1;
                return if self.silent >= TRIES { Err(no_address(&why.to_string())) } else { Ok(None) };
            }
            Some((Ok(_), Heed::Confirming(address))) => Some(address),
            _ => None,
        };
        self.silent = 0;
        match (round.outlook, address) {
            (Some(outlook), Some(address)) if settled && !changing => Ok(Some(Arrived { address, outlook })),
            _ => Ok(reading.filter(|_| !changing).and_then(|address| already_there(&look, address))),
        }
    }

    fn refusals(&mut self, done: Vec<Did>) -> Result<(), Fault> {
        let refused = done.into_iter().filter_map(|did| did.answer.err().map(|error| (did.action, error)));
        // What is refused because something has not ended yet is no refusal.
        let passing = [Why::Changing, Why::NoGateway, Why::GatewayNotReady, Why::InUse, Why::Busy];
        let is_passing = |why: Option<Why>| why.is_some_and(|why| passing.contains(&why));
        let mut lasting = refused.filter(|(_, error)| error.kind() == Kind::Refused && !is_passing(Why::of(error)));
        let Some((action, error)) = lasting.next() else {
            return Ok(());
        };
        self.refused += 1;
        if self.refused < TRIES {
            return Ok(());
        }
        let hint = Why::of(&error).map(Why::fix).map(str::to_owned).or_else(|| error.hint());
        let fault = Fault::new(Kind::Refused, "ec2", format!("cannot {action}")).cause(error);
        Err(Fault { hint, ..fault })
    }
}

/// A first reading that says where everything is already needs no second one: nothing is done for it.
fn already_there(look: &Look, address: Ipv4Addr) -> Option<Arrived> {
    let owner = look.selection.owner.clone()?;
    let site = Site { owner, name: None, pace: Pace::default() };
    let outlook = Outlook::of(&look.observed, Some(address), &Memory::default(), &site, Duration::ZERO);
    (outlook.is_settled() && !outlook.stands.is_empty()).then_some(Arrived { address, outlook })
}

/// Why there is nothing to look after.
#[must_use]
pub fn not_ours(missing: &Unselected) -> Fault {
    Fault::new(Kind::Config, "gateway", missing.to_string()).hint(missing.fix())
}

/// Why there is nothing to go by.
#[must_use]
pub fn no_address(why: &str) -> Fault {
    Fault::new(Kind::Unreachable, "gateway", format!("the site's address is not known: {why}"))
        .hint("look at `bowline doctor gateway`, or name others: `--ip-provider URL`")
}
