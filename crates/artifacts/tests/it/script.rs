//! An upstream in memory that does what the test says, and counts what it was asked.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    pin::Pin,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bowline_artifacts::upstream::{Answer, Head, Listed, Page, Trouble, Upstream, Want};
use bowline_base::{
    BoxFuture,
    wire::{Body, WireError},
};
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

/// What the next body does.
pub(crate) enum Play {
    /// These many bytes, then an error.
    BreakAfter(usize),
    /// These many bytes, then an ordinary end.
    CutAfter(usize),
    /// All bytes, but of another file, whatever the condition was.
    Other,
    /// All bytes, the last one wrong.
    Corrupt,
    /// What the test feeds.
    Fed(mpsc::UnboundedReceiver<Bytes>),
}

/// How a listing goes on for ever.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Endless {
    /// Every page names the page after the first as the next one.
    InACircle,
    /// Every page names another one.
    Onwards,
}

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    head: Head,
}

#[derive(Default)]
pub(crate) struct Script {
    name: String,
    files: Mutex<BTreeMap<String, Stored>>,
    plays: Mutex<VecDeque<Play>>,
    trouble: Mutex<Option<Trouble>>,
    denied: Mutex<bool>,
    denied_keys: Mutex<BTreeSet<String>>,
    no_listing: Mutex<bool>,
    no_end: Mutex<Option<Endless>>,
    slow: Mutex<Duration>,
    hangs: Mutex<bool>,
    pub(crate) wants: Mutex<Vec<Want>>,
    pub(crate) heads: AtomicUsize,
    pub(crate) probes: AtomicUsize,
    page: usize,
}

impl Script {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), page: 2, ..Self::default() }
    }

    /// Stores a file with an ETag made of `generation`.
    pub(crate) fn put(&self, key: &str, bytes: impl Into<Bytes>, generation: &str) {
        self.put_with(key, bytes, generation, None);
    }

    pub(crate) fn put_with(&self, key: &str, bytes: impl Into<Bytes>, generation: &str, md5: Option<&str>) {
        let bytes = bytes.into();
        let head = Head {
            length: bytes.len() as u64,
            etag: Some(format!("\"{generation}\"")),
            last_modified: Some("Sun, 22 Nov 2026 01:00:00 GMT".to_owned()),
            content_type: Some("binary/octet-stream".to_owned()),
            content_encoding: None,
            md5: md5.map(str::to_owned),
            ..Head::default()
        };
        lock(&self.files).insert(key.to_owned(), Stored { bytes, head });
    }

    /// Changes what is said of a file.
    pub(crate) fn describe(&self, key: &str, change: impl FnOnce(&mut Head)) {
        change(&mut lock(&self.files).get_mut(key).unwrap().head);
    }

    pub(crate) fn remove(&self, key: &str) {
        lock(&self.files).remove(key);
    }

    pub(crate) fn play(&self, play: Play) {
        lock(&self.plays).push_back(play);
    }

    pub(crate) fn fail(&self, trouble: Option<Trouble>) {
        *lock(&self.trouble) = trouble;
    }

    pub(crate) fn hang(&self, hangs: bool) {
        *lock(&self.hangs) = hangs;
    }

    /// No s3:ListBucket: a missing key is 403.
    pub(crate) fn forbid_listing(&self) {
        *lock(&self.no_listing) = true;
    }

    /// No s3:GetObject any more.
    pub(crate) fn forbid_reading(&self, denied: bool) {
        *lock(&self.denied) = denied;
    }

    /// This key alone may not be read.
    pub(crate) fn forbid_key(&self, key: &str) {
        lock(&self.denied_keys).insert(key.to_owned());
    }

    /// No page is the last; each takes `time`.
    pub(crate) fn list_without_end(&self, how: Endless, time: Duration) {
        *lock(&self.no_end) = Some(how);
        *lock(&self.slow) = time;
    }

    pub(crate) fn gets(&self) -> usize {
        lock(&self.wants).len()
    }

    async fn weather(&self) -> Result<(), Trouble> {
        if *lock(&self.hangs) {
            std::future::pending::<()>().await;
        }
        lock(&self.trouble).clone().map_or(Ok(()), Err)
    }

    fn find(&self, key: &str) -> Result<Stored, Trouble> {
        if *lock(&self.denied) || lock(&self.denied_keys).contains(key) {
            return Err(Trouble::Denied);
        }
        let missing = if *lock(&self.no_listing) { Trouble::Denied } else { Trouble::Missing };
        lock(&self.files).get(key).cloned().ok_or(missing)
    }
}

impl Upstream for Script {
    fn name(&self) -> &str {
        &self.name
    }

    fn get<'a>(&'a self, want: &'a Want) -> BoxFuture<'a, Result<Answer, Trouble>> {
        Box::pin(async move {
            lock(&self.wants).push(want.clone());
            self.weather().await?;
            let stored = self.find(&want.key)?;
            if want.if_match.is_some() && want.if_match != stored.head.etag {
                return Err(Trouble::Changed);
            }
            if want.if_none_match.is_some() && want.if_none_match == stored.head.etag {
                return Ok(Answer::Unchanged);
            }
            let rest = stored.bytes.slice(want.from as usize..);
            let (mut head, play) = (stored.head, lock(&self.plays).pop_front());
            if let Some(Play::Other) = play {
                head.etag = Some("\"another\"".to_owned());
            }
            Ok(Answer::File(head, body(rest, play)))
        })
    }

    fn head<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Head, Trouble>> {
        Box::pin(async move {
            self.heads.fetch_add(1, Ordering::Relaxed);
            self.weather().await?;
            Ok(self.find(key)?.head)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, Trouble>> {
        Box::pin(async move {
            self.weather().await?;
            let slow = *lock(&self.slow);
            if !slow.is_zero() {
                tokio::time::sleep(slow).await;
            }
            if *lock(&self.no_listing) {
                return Err(Trouble::ListingDenied);
            }
            let files = lock(&self.files);
            let below: Vec<&str> = files.keys().filter_map(|key| key.strip_prefix(prefix)).collect();
            let from = after.map_or(0, |after| after.parse().unwrap());
            let mut page = Page::default();
            for name in below.iter().skip(from).take(self.page) {
                match name.split_once('/') {
                    Some((folder, _)) => page.folders.push(folder.to_owned()),
                    None => page.files.push(Listed { name: (*name).to_owned(), length: 1, modified: None }),
                }
            }
            page.next = (from + self.page < below.len()).then(|| (from + self.page).to_string());
            match *lock(&self.no_end) {
                Some(Endless::InACircle) => page.next = Some("1".to_owned()),
                Some(Endless::Onwards) => page.next = Some((from + 1).to_string()),
                None => {}
            }
            Ok(page)
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Trouble>> {
        Box::pin(async move {
            self.probes.fetch_add(1, Ordering::Relaxed);
            self.weather().await?;
            if *lock(&self.no_listing) { Err(Trouble::ListingDenied) } else { Ok(()) }
        })
    }
}

fn body(bytes: Bytes, play: Option<Play>) -> Body {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut end = None;
    let bytes = match play {
        None | Some(Play::Other) => bytes,
        Some(Play::BreakAfter(many)) => {
            end = Some(WireError::Broken { host: "script".to_owned(), cause: "reset".into() });
            bytes.slice(..many)
        }
        Some(Play::CutAfter(many)) => bytes.slice(..many),
        Some(Play::Corrupt) => {
            let mut wrong = bytes.to_vec();
            *wrong.last_mut().unwrap() ^= 1;
            wrong.into()
        }
        Some(Play::Fed(receiver)) => return Chunks { receiver, end: None }.boxed_unsync(),
    };
    for chunk in bytes.chunks(64 * 1024) {
        sender.send(Bytes::copy_from_slice(chunk)).unwrap();
    }
    Chunks { receiver, end }.boxed_unsync()
}

struct Chunks {
    receiver: mpsc::UnboundedReceiver<Bytes>,
    end: Option<WireError>,
}

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = WireError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, WireError>>> {
        match self.receiver.poll_recv(cx) {
            Poll::Ready(None) => Poll::Ready(self.end.take().map(Err)),
            other => other.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}
