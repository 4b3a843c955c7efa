//! The ways to a person, and how patient each is. Each brings one message once; what follows is the outbox's decision.

use std::{path::PathBuf, sync::Arc};

use bowline_base::wire::Wire;

use super::{
    command::Hook,
    desktop::Desktop,
    message::{Event, Message},
    outbox::{Outcome, Patience},
    webhook::Webhook,
};

/// What the user has set up.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    /// A file that has a paragraph for everything that goes on, and is not there when nothing does.
    pub file: Option<PathBuf>,
    /// The desktop of the user's session.
    pub desktop: Option<Desktop>,
    /// A server that is sent signed JSON.
    pub webhook: Option<Webhook>,
    /// A command that is given JSON.
    pub command: Option<Hook>,
    /// The kinds that are sent; `None` sends all.
    pub only: Option<Vec<String>>,
}

impl Channels {
    /// Whether messages of `kind` are sent.
    #[must_use]
    pub fn want(&self, kind: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.iter().any(|wanted| wanted == kind))
    }

    /// The channels that bring messages, each with what it was set up with.
    pub(super) fn ways(&self) -> Vec<Way> {
        let desktop = self.desktop.clone().map(Way::Desktop);
        let webhook = self.webhook.clone().map(|webhook| Way::Webhook(Arc::new(webhook)));
        let command = self.command.clone().map(|command| Way::Command(Arc::new(command)));
        [desktop, webhook, command].into_iter().flatten().collect()
    }
}

/// One channel.
#[derive(Clone, Debug)]
pub(super) enum Way {
    Desktop(Desktop),
    Webhook(Arc<Webhook>),
    Command(Arc<Hook>),
}

const HOUR: i64 = 3600;

impl Way {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Desktop(_) => "desktop",
            Self::Webhook(_) => "webhook",
            Self::Command(_) => "command",
        }
    }

    /// Whether it brings messages like this: a desktop that shows a matter need not be told of its end.
    pub(super) fn takes(&self, event: Event) -> bool {
        event != Event::Resolved || !matches!(self, Self::Desktop(_))
    }

    pub(super) fn patience(&self) -> Patience {
        match self {
            Self::Desktop(_) => Patience { tries: 1, age: HOUR },
            Self::Webhook(_) => Patience { tries: u32::MAX, age: 72 * HOUR },
            Self::Command(_) => Patience { tries: 3, age: 24 * HOUR },
        }
    }

    pub(super) async fn bring(&self, wire: &dyn Wire, message: &Message, machine: &str) -> Outcome {
        match self {
            Self::Desktop(desktop) => desktop.show(message).await,
            Self::Webhook(webhook) => webhook.post(wire, message, machine).await,
            Self::Command(command) => command.run(message, machine).await,
        }
    }
}
