//! Bringing one file: ask, write what comes into a draft while readers follow, resume what breaks, check, keep.
//!
//! A fill belongs to the table: it goes on when the client that began it leaves. Its readers see bytes as they are
//! written, but never the last one that they asked for before the whole was found right.

use std::{fs::File, sync::Arc, time::Duration};

use bowline_base::{
    Timestamp,
    wire::{self, Wire},
};
use bytes::BytesMut;
use http_body::Body as _;
use md5::{Digest as _, Md5};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::{
    body::off_thread,
    checksum::{Fingerprint, hex},
    copy::Copy,
    freshness::{self, Class},
    integrity::{self, Digests, Judgement, Sums},
    marks::Marks,
    metrics::Counts,
    record::{Id, Record},
    source::Source,
    store::{Draft, Store},
    upstream::{Answer, Head, Trouble, Want},
};

/// How often a broken body is asked for its rest.
const RESUMES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Bytes that are gathered, as far as they are there already, before one write. It ends at a multiple of them, so that
/// the kernel can hold the file in big pieces of memory: sending from small ones costs half as much again.
const GATHER: usize = 256 * 1024;
/// Bytes of a checksum file: a digest and a name.
const LONGEST_SUM: u64 = 2048;

/// How far a flight is.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// The upstream has not answered.
    Asking,
    /// Bytes come.
    Growing(Growth),
    /// The copy in the cache is right.
    Unchanged,
    /// No bytes were asked for.
    Described(Arc<Head>),
    /// There is no such key.
    Missing,
    /// No answer.
    Failed(Trouble),
}

/// A file on its way in.
#[derive(Clone, Debug)]
pub(crate) struct Growth {
    pub(crate) head: Arc<Head>,
    /// The draft, or nothing when the disk did not take it.
    pub(crate) file: Option<Arc<File>>,
    /// Where the bytes begin in it.
    pub(crate) offset: u64,
    pub(crate) written: u64,
    pub(crate) end: End,
}

/// How a growth ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has not.
    NotYet,
    /// All bytes are there and right.
    Whole,
    /// The cache took no more; the rest is to be had from the upstream.
    NoRoom,
    /// It cannot be finished.
    Broken(Trouble),
}

impl End {
    pub(crate) fn is_final(&self) -> bool {
        *self != Self::NotYet
    }
}

impl Stage {
    pub(crate) fn growth(&self) -> Option<&Growth> {
        if let Self::Growing(growth) = self { Some(growth) } else { None }
    }

    pub(crate) fn is_asking(&self) -> bool {
        matches!(self, Self::Asking)
    }
}

impl Growth {
    /// Up to where bytes may be sent to who wants them up to `end`. The last of them only when the whole file was found
    /// right: whoever has all bytes that he asked for has the right ones.
    pub(crate) fn ready(&self, end: u64) -> u64 {
        match self.end {
            End::Whole => end,
            End::NotYet | End::NoRoom | End::Broken(_) => self.written.min(end.saturating_sub(1)),
        }
    }
}

/// What a fill needs.
pub(crate) struct Fill {
    pub(crate) source: Arc<Source>,
    pub(crate) store: Arc<Store>,
    pub(crate) marks: Arc<Marks>,
    pub(crate) clock: Arc<dyn Wire>,
    pub(crate) counts: Counts,
    pub(crate) negative_ttl: Duration,
    pub(crate) id: Id,
    pub(crate) key: String,
    pub(crate) class: Class,
    /// When the copy was validated that whoever began this had in hand; `None`: there was none.
    pub(crate) seen: Option<Timestamp>,
    pub(crate) stage: watch::Sender<Stage>,
}

impl Fill {
    /// Brings the file, or learns that the copy is right.
    pub(crate) async fn fly(self) {
        let (store, id) = (Arc::clone(&self.store), self.id);
        let copy = match off_thread(move || store.look(id)).await.and_then(|copy| copy) {
            Ok(copy) => copy,
            Err(error) => return self.failed(Trouble::Cache(error.to_string())),
        };
        if copy.as_ref().is_some_and(|copy| self.class == Class::Immutable || self.is_newer(copy)) {
            // It came while the request was on its way here.
            self.stage.send_replace(Stage::Unchanged);
            return;
        }
        let known = copy.as_ref().map(|copy| copy.record.head.clone()).unwrap_or_default();
        let dated = known.last_modified.filter(|_| known.etag.is_none());
        let want = Want { if_none_match: known.etag, if_modified_since: dated, ..Want::whole(&self.key) };
        match self.source.ask(&want).await {
            Ok(Answer::Unchanged) => self.unchanged().await,
            Ok(Answer::File(head, body)) => self.grow(head, body).await,
            Err(Trouble::Missing) => self.missing().await,
            // It could be read once.
            Err(Trouble::Hidden) if copy.is_some() => self.failed(Trouble::KeyDenied(self.key.clone())),
            Err(Trouble::Hidden) => self.absent(),
            Err(trouble) => self.failed(trouble),
        }
    }

    fn is_newer(&self, copy: &Copy) -> bool {
        self.seen.is_none_or(|seen| seen < copy.validated)
    }

    /// Asks what the file is like.
    pub(crate) async fn describe(self) {
        match self.source.head(&self.key).await {
            Ok(head) => {
                self.stage.send_replace(Stage::Described(Arc::new(head)));
            }
            Err(Trouble::Missing) => self.missing().await,
            Err(Trouble::Hidden) => self.absent(),
            Err(trouble) => self.failed(trouble),
        }
    }

    async fn unchanged(&self) {
        let (store, id, now) = (Arc::clone(&self.store), self.id, self.clock.now());
        off_thread(move || store.confirm(id, now.wall)).await.ok();
        self.marks.validate(self.id, now);
        self.count("unchanged");
        self.stage.send_replace(Stage::Unchanged);
    }

    /// The upstream says so: a copy goes too.
    async fn missing(&self) {
        let (store, id) = (Arc::clone(&self.store), self.id);
        off_thread(move || store.forget(id)).await.ok();
        self.absent();
    }

    /// To be answered with 404.
    fn absent(&self) {
        self.marks.miss(self.id, self.clock.now(), self.negative_ttl);
        self.count("missing");
        self.stage.send_replace(Stage::Missing);
    }

    fn failed(&self, trouble: Trouble) {
        debug!(upstream = self.source.name(), %trouble, "no answer");
        self.count("failed");
        self.stage.send_replace(Stage::Failed(trouble));
    }

    async fn grow(&self, head: Head, body: wire::Body) {
        let head = Arc::new(head);
        let draft = match self.begin(&head).await {
            Ok(draft) => Arc::new(draft),
            Err(error) => {
                warn!(%error, "the cache takes no file; serving through");
                self.count("no-room");
                let growth = Growth { head, file: None, offset: 0, written: 0, end: End::NoRoom };
                self.stage.send_replace(Stage::Growing(growth));
                return;
            }
        };
        let growth = Growth {
            head: Arc::clone(&head),
            file: Some(draft.file()),
            offset: draft.offset(),
            written: 0,
            end: End::NotYet,
        };
        self.stage.send_replace(Stage::Growing(growth));
        let (poured, beside) = tokio::join!(self.pour(&draft, &head, body), self.sha1_beside(&head));
        let ended = match poured {
            Ok(sums) => {
                let checked = self.check(&head, &sums, beside.as_deref()).await;
                checked.map(|()| sums.fingerprint).map_err(End::Broken)
            }
            Err(end) => Err(end),
        };
        match ended {
            Ok(fingerprint) => self.keep(draft, fingerprint).await,
            Err(end) => self.broken(end),
        }
    }

    async fn begin(&self, head: &Arc<Head>) -> std::io::Result<Draft> {
        let record = Record {
            origin: self.source.name().to_owned(),
            key: self.key.clone(),
            head: Head::clone(head),
            stored_at: self.clock.now().wall,
            fingerprint: None,
        };
        let (store, id) = (Arc::clone(&self.store), self.id);
        off_thread(move || store.begin(id, &record)).await.and_then(|draft| draft)
    }

    /// Until everything is written.
    async fn pour(&self, draft: &Arc<Draft>, head: &Head, mut body: wire::Body) -> Result<Sums, End> {
        let mut sum = Some(Digests::of(head));
        let (mut at, mut resumes) = (0, 0);
        while at < head.length {
            let Err(trouble) = self.copy(draft, head, &mut body, &mut at, &mut sum).await? else { continue };
            body = self.resumed(head, at, trouble, &mut resumes).await?;
        }
        let digests = sum.unwrap_or_else(|| Digests::of(head));
        Ok(digests.finish())
    }

    /// A release that nothing vouches for may have its SHA-1 in a file beside it.
    fn looks_beside(&self, head: &Head) -> bool {
        let vouched = !head.checksums.is_empty() || (head.md5.is_some() && self.source.etags_are_md5());
        let is_sum = freshness::checksum_of(&self.key).is_some() || self.key.ends_with(".asc");
        self.class == Class::Immutable && !vouched && !is_sum && self.source.has_sidecars()
    }

    /// The SHA-1 that stands beside the file; asked for while the bytes come. What cannot be had promises nothing.
    async fn sha1_beside(&self, head: &Head) -> Option<String> {
        if !self.looks_beside(head) {
            return None;
        }
        let want = Want::whole(&format!("{}.sha1", self.key));
        let Ok(Answer::File(head, mut body)) = self.source.ask(&want).await else { return None };
        if head.length > LONGEST_SUM {
            return None;
        }
        let (mut text, mut gathered) = (Vec::new(), BytesMut::new());
        while (text.len() as u64) < head.length {
            gather(&mut body, self.source.timeout(), &mut gathered).await.ok()?;
            text.extend_from_slice(&gathered.split());
        }
        integrity::sha1_in(&text)
    }

    /// Writes what comes until it ends or breaks. The outer error is ours, the inner the upstream's.
    async fn copy(
        &self,
        draft: &Arc<Draft>,
        head: &Head,
        body: &mut wire::Body,
        at: &mut u64,
        sum: &mut Option<Digests>,
    ) -> Result<Result<(), Trouble>, End> {
        let mut gathered = BytesMut::new();
        while *at < head.length {
            if let Err(trouble) = gather(body, self.source.timeout(), &mut gathered).await {
                return Ok(Err(trouble));
            }
            let bytes = gathered.split_to(piece(*at, gathered.len())).freeze();
            let length = bytes.len() as u64;
            if *at + length > head.length {
                return Err(End::Broken(Trouble::Broken("more bytes came than were announced".to_owned())));
            }
            let (draft, start) = (Arc::clone(draft), *at);
            let mut running = sum.take().unwrap_or_else(|| Digests::of(head));
            let written = off_thread(move || {
                running.update(&bytes);
                draft.write(start, &bytes).map(|()| running)
            });
            match written.await.and_then(|written| written) {
                Ok(running) => *sum = Some(running),
                Err(error) => {
                    warn!(%error, "the cache takes no more; serving through");
                    return Err(End::NoRoom);
                }
            }
            *at += length;
            self.publish(|growth| growth.written = *at);
        }
        Ok(Ok(()))
    }

    /// The rest of the same file, asked for a few times.
    async fn resumed(&self, head: &Head, at: u64, mut why: Trouble, resumes: &mut u32) -> Result<wire::Body, End> {
        let Some(etag) = head.etag.clone() else { return Err(End::Broken(why)) };
        let want = Want { from: at, if_match: Some(etag), ..Want::whole(&self.key) };
        while *resumes < RESUMES {
            debug!(upstream = self.source.name(), %why, at, "the body broke off; asking for the rest");
            self.clock.sleep(FIRST_PAUSE * 2_u32.pow(*resumes)).await;
            *resumes += 1;
            match self.source.ask(&want).await {
                Ok(Answer::File(rest, body)) if rest.etag == head.etag && rest.length == head.length => {
                    return Ok(body);
                }
                Ok(_) | Err(Trouble::Changed | Trouble::Missing | Trouble::Hidden) => {
                    return Err(End::Broken(Trouble::Changed));
                }
                Err(trouble) => why = trouble,
            }
        }
        Err(End::Broken(why))
    }

    /// Compares with the MD5 that the ETag promises. An ETag of a KMS object looks the same and is none: when a second
    /// reading gives the first one's sum again, it is the ETag that means something else.
    async fn check(&self, head: &Head, sums: &Sums, beside: Option<&str>) -> Result<(), Trouble> {
        let judgement = sums.judge(head, beside);
        if let Judgement::Wrong(kind) = judgement {
            return Err(Trouble::Broken(format!("the bytes are not what their {kind} says")));
        }
        let Some(promised) = head.md5.as_ref().filter(|_| self.source.etags_are_md5()) else { return Ok(()) };
        let found = &sums.fingerprint.md5;
        if found == promised {
            return Ok(());
        }
        if judgement == Judgement::Right {
            // Another sum is right: it is the ETag that means something else.
            self.source.distrust_etags();
            return Ok(());
        }
        let mismatch = || Trouble::Broken("the bytes are not what the ETag says".to_owned());
        let want = Want { if_match: head.etag.clone(), ..Want::whole(&self.key) };
        let Answer::File(_, mut body) = self.source.ask(&want).await? else { return Err(mismatch()) };
        let (mut again, mut read, mut gathered) = (Md5::new(), 0, BytesMut::new());
        while read < head.length {
            gather(&mut body, self.source.timeout(), &mut gathered).await?;
            let bytes = gathered.split().freeze();
            read += bytes.len() as u64;
            again = off_thread(move || again.chain_update(&bytes)).await.map_err(|_| mismatch())?;
        }
        if hex(&again.finalize()) != *found {
            return Err(mismatch());
        }
        self.source.distrust_etags();
        Ok(())
    }

    /// Readers may have the end at once; the name follows when the bytes are on disk.
    async fn keep(&self, draft: Arc<Draft>, fingerprint: Fingerprint) {
        self.publish(|growth| growth.end = End::Whole);
        let now = self.clock.now();
        let kept = match Arc::try_unwrap(draft) {
            Ok(draft) => off_thread(move || draft.sign(fingerprint).and_then(|()| draft.keep(now.wall)))
                .await
                .and_then(|kept| kept),
            Err(_) => Err(std::io::Error::other("the draft is still written to")),
        };
        match kept {
            Ok(()) => {
                self.marks.validate(self.id, now);
                self.count("kept");
            }
            Err(error) => {
                warn!(%error, "a file could not be kept");
                self.count("no-room");
            }
        }
    }

    fn broken(&self, end: End) {
        if let End::Broken(trouble) = &end {
            warn!(upstream = self.source.name(), %trouble, "a file could not be brought; its readers are cut off");
        }
        self.count(if end == End::NoRoom { "no-room" } else { "broken" });
        self.publish(|growth| growth.end = end);
    }

    fn count(&self, outcome: &'static str) {
        self.counts.fill(self.source.repository(), outcome);
    }

    fn publish(&self, change: impl FnOnce(&mut Growth)) {
        self.stage.send_modify(|stage| {
            if let Stage::Growing(growth) = stage {
                change(growth);
            }
        });
    }
}

/// How many of `gathered` bytes are written at `at`: up to a multiple of [`GATHER`], or all, when they do not reach it.
fn piece(at: u64, gathered: usize) -> usize {
    let to_the_next = GATHER - (at % GATHER as u64) as usize;
    gathered.min(to_the_next)
}

/// Adds to `gathered` the next bytes and what else is there already; waits only if there would be none.
async fn gather(body: &mut wire::Body, idle: Duration, gathered: &mut BytesMut) -> Result<(), Trouble> {
    let mut broken = None;
    let filled = std::future::poll_fn(|cx| {
        loop {
            if gathered.len() >= GATHER {
                return std::task::Poll::Ready(());
            }
            match std::pin::Pin::new(&mut *body).poll_frame(cx) {
                std::task::Poll::Ready(Some(Ok(frame))) => {
                    gathered.extend_from_slice(&frame.into_data().unwrap_or_default());
                }
                std::task::Poll::Ready(Some(Err(error))) => {
                    broken = Some(Trouble::Broken(error.to_string()));
                    return std::task::Poll::Ready(());
                }
                std::task::Poll::Ready(None) => {
                    broken = Some(Trouble::Broken("the body ended early".to_owned()));
                    return std::task::Poll::Ready(());
                }
                std::task::Poll::Pending if gathered.is_empty() => return std::task::Poll::Pending,
                std::task::Poll::Pending => return std::task::Poll::Ready(()),
            }
        }
    });
    if tokio::time::timeout(idle, filled).await.is_err() {
        return Err(Trouble::TimedOut(idle));
    }
    // What came before the break is good; the break shows again at the next call.
    match broken {
        Some(trouble) if gathered.is_empty() => Err(trouble),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_end_where_big_pieces_of_memory_do() {
        let whole = GATHER as u64;
        assert_eq!((piece(0, 100), piece(100, GATHER), piece(whole, GATHER + 5)), (100, GATHER - 100, GATHER));
        assert_eq!((piece(whole - 1, GATHER), piece(whole * 3 + 7, 1)), (1, 1));
    }

    #[test]
    fn the_last_byte_of_a_part_waits_for_the_whole_like_the_last_of_all() {
        let head = Arc::new(Head { length: 100, ..Head::default() });
        let mut growth = Growth { head, file: None, offset: 0, written: 50, end: End::NotYet };
        assert_eq!((growth.ready(100), growth.ready(51), growth.ready(50), growth.ready(10)), (50, 50, 49, 9));
        growth.written = 100;
        assert_eq!((growth.ready(100), growth.ready(10)), (99, 9));
        growth.end = End::Whole;
        assert_eq!((growth.ready(100), growth.ready(10)), (100, 10));
    }
}
