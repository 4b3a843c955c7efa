//! How EC2 behaves with VPNs: what takes how long, and what goes wrong.

use std::time::Duration;

use serde_json::Value;

use crate::settings::duration;

/// When a connection that is pointed elsewhere shows the new gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flip {
    /// While it is still `modifying`.
    #[default]
    Early,
    /// Only when it is `available` again.
    Late,
}

/// Everything that can be set about VPNs.
#[derive(Clone, Debug)]
pub struct VpnManners {
    /// How long a connection is `modifying`.
    pub modify_time: Duration,
    /// When its gateway changes.
    pub flip: Flip,
    /// So many of the next changes end where they began.
    pub rollbacks: u64,
    /// Describes show what was so long ago.
    pub describe_lag: Duration,
    /// A new gateway is in no list and unknown to other calls for so long.
    pub gateway_delay: Duration,
    /// A new gateway is `pending` for so long.
    pub gateway_pending: Duration,
    /// Live gateways a region may have.
    pub gateway_quota: usize,
    /// Tunnels are up whenever the connection is available.
    pub tunnels_up: bool,
    /// Lists come in pages of so many items; `None`: whole, as at AWS.
    pub page: Option<usize>,
}

impl Default for VpnManners {
    /// Four minutes for a change, a quota of 50, everything seen at once.
    fn default() -> Self {
        Self {
            modify_time: Duration::from_secs(240),
            flip: Flip::Early,
            rollbacks: 0,
            describe_lag: Duration::ZERO,
            gateway_delay: Duration::ZERO,
            gateway_pending: Duration::ZERO,
            gateway_quota: 50,
            tunnels_up: true,
            page: None,
        }
    }
}

impl VpnManners {
    /// These with what `patch` names changed; `None` where a name or a value is wrong.
    pub(crate) fn patched(&self, patch: &Value) -> Option<Self> {
        let mut next = self.clone();
        for (name, value) in patch.as_object()? {
            let size = || value.as_u64().and_then(|size| usize::try_from(size).ok());
            match name.as_str() {
                "modify_time" => next.modify_time = duration(value)?,
                "describe_lag" => next.describe_lag = duration(value)?,
                "gateway_delay" => next.gateway_delay = duration(value)?,
                "gateway_pending" => next.gateway_pending = duration(value)?,
                "rollbacks" => next.rollbacks = value.as_u64()?,
                "gateway_quota" => next.gateway_quota = size()?,
                "page" if value.is_null() => next.page = None,
                "page" => next.page = Some(size()?.max(1)),
                "tunnels_up" => next.tunnels_up = value.as_bool()?,
                "flip" => next.flip = flip(value)?,
                _ => return None,
            }
        }
        Some(next)
    }
}

fn flip(value: &Value) -> Option<Flip> {
    match value.as_str()? {
        "early" => Some(Flip::Early),
        "late" => Some(Flip::Late),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_is_taken_whole_or_not_at_all() {
        let manners = VpnManners::default();
        let next = manners.patched(&json!({"modify_time": "2s", "flip": "late", "page": 1})).unwrap();
        assert_eq!((next.modify_time, next.flip, next.page), (Duration::from_secs(2), Flip::Late, Some(1)));
        assert!(manners.patched(&json!({"modify_time": "2s", "flip": "never"})).is_none());
        assert!(manners.patched(&json!({"modify": "2s"})).is_none());
    }
}
