//! What users have used, told to the store: now and then, early where a quota is near its end, and each byte once.

use tracing::debug;

use super::{Clerk, away};
use crate::server::{
    ClientId,
    layout::{self, Step},
    orders::{Order, Refusal},
    store::Value,
    usage::{self, Usage},
};

/// Users of whom the store is told early, in one look: orders wait meanwhile.
const PRESSING_AT_ONCE: usize = 4;
impl Clerk {
    /// Who comes so near to the end of a quota that other servers must know: what they count, we do not.
    pub(super) fn pressing(&self) -> Vec<(ClientId, Usage)> {
        let pressing = |id: &ClientId, untold: Usage| {
            let quota = self.directory.user(id).and_then(|user| user.limits.quota);
            usage::is_pressing(quota, self.directory.usage(id), untold)
        };
        self.meter.owed().into_iter().filter(|(id, untold)| pressing(id, *untold)).take(PRESSING_AT_ONCE).collect()
    }

    /// Tells the store what was used, and other servers that it was told.
    pub(super) async fn flush(&mut self, owed: Vec<(ClientId, Usage)>) {
        for (id, used) in owed {
            if self.directory.user(&id).is_none() {
                self.meter.told(&id, used);
                continue;
            }
            if let Err(why) = self.tell_usage(&id, used).await {
                debug!(%why, "what was used is told later");
                break;
            }
        }
        self.announce().await;
    }

    /// On top of what the store says at this moment: another server may have told it something a second ago, and so may
    /// we, where the answer was lost.
    async fn tell_usage(&mut self, id: &ClientId, used: Usage) -> Result<(), Refusal> {
        let name = layout::usage(id);
        let known = self.office.store.get(&name).await.map_err(away)?;
        let known = known.and_then(|value| Usage::from_record(&value.text)).unwrap_or_default();
        let mut new = used;
        if let Some((sum, then)) = self.tried.remove(id)
            && sum == known
        {
            self.meter.told(id, then);
            new = used.minus(then);
        }
        self.tried.insert(id.clone(), (known.plus(new), new));
        self.write(vec![Step::Replace(name, Value::sealed(known.plus(new).to_record()))]).await?;
        self.tried.remove(id);
        self.meter.told(id, new);
        Ok(())
    }

    /// Bytes that the store was not told of are nobody's.
    pub(super) fn count_from_nothing(&mut self, id: &ClientId) {
        self.meter.forget(id);
        self.tried.remove(id);
    }
}

/// Whose bytes are nobody's after this order, those included that the store has not been told of.
pub(super) fn counts_from_nothing(order: &Order) -> Option<ClientId> {
    match order {
        Order::Delete(id) => Some(id.clone()),
        Order::Change(id, change) if change.reset_usage => Some(id.clone()),
        _ => None,
    }
}
