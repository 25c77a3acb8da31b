//! Reads the API's JSON. Unknown fields are passed over; a missing one is named.

mod status;

use model::observed::{
    FetchJob, FetchStatus, Info, Offered, SetupStatus, Slot, SlotContent, TestReport,
};
use model::{FetchKey, FirmwareVersion, SlotKey};
use serde_json::Value;

pub(crate) use status::{cluster_status, health};

use crate::words;

/// What is wrong with an answer of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A field is missing or of another type; the text names it.
    Malformed(String),
    /// The answer is one that only a caller without a session gets.
    LoggedOut,
}

type Reading<T> = Result<T, Fault>;

/// A place in an answer.
struct At<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> At<'a> {
    fn root(value: &'a Value) -> Self {
        Self { value, path: String::new() }
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A field that may be absent or null.
    fn maybe(&self, name: &str) -> Option<At<'a>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(At { value, path: self.path_of(name) })
    }

    /// A field that must be there.
    fn must(&self, name: &str) -> Reading<At<'a>> {
        self.maybe(name).ok_or_else(|| {
            Fault::Malformed(format!("the answer lacks the field `{}`", self.path_of(name)))
        })
    }

    fn not(&self, what: &str) -> Fault {
        Fault::Malformed(format!("the field `{}` of the answer is not {what}", self.path))
    }

    fn text(&self) -> Reading<&'a str> {
        self.value.as_str().ok_or_else(|| self.not("a string"))
    }

    /// A string, or a number as it is written: keys and versions come as either.
    fn text_or_number(&self) -> Reading<String> {
        match self.value {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(self.not("a string or a number")),
        }
    }

    fn flag(&self) -> Reading<bool> {
        self.value.as_bool().ok_or_else(|| self.not("true or false"))
    }

    fn list(&self) -> Reading<Vec<At<'a>>> {
        let items = self.value.as_array().ok_or_else(|| self.not("a list"))?;
        let place = |(at, value)| At { value, path: format!("{}[{at}]", self.path) };
        Ok(items.iter().enumerate().map(place).collect())
    }

    fn words(&self, name: &str, most: usize) -> Option<String> {
        let text = self.maybe(name)?.text_or_number().ok()?;
        Some(words::tame(&words::hide_user_info(&text), most))
    }

    fn entries(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.value.as_object().into_iter().flatten()
    }
}

/// `meta.remaining_seconds`; 0 is what callers without a session read, so it says nothing.
pub(crate) fn remaining_seconds(answer: &Value) -> Option<u64> {
    answer.get("meta")?.get("remaining_seconds")?.as_f64().map(whole).filter(|left| *left > 0)
}

/// A count that may be written as 3 or 3.0.
fn whole(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let whole = number as u64;
    whole
}

pub(crate) fn setup(answer: &Value) -> Reading<SetupStatus> {
    let root = At::root(answer);
    let place = match root.maybe("body") {
        Some(body) if root.maybe("status").is_none() => body,
        _ => root,
    };
    Ok(match place.must("status")?.text()? {
        "completed" => SetupStatus::Completed,
        "booting" => SetupStatus::Booting,
        "uninitialized" => SetupStatus::Uninitialized,
        other => SetupStatus::Other(words::tame(other, 80)),
    })
}

/// An answer without `firmware_version` means that the session is over (sps-api.md, section 5).
pub(crate) fn info(answer: &Value) -> Reading<Info> {
    let body = At::root(answer).must("body")?;
    let Some(version) = body.maybe("firmware_version") else { return Err(Fault::LoggedOut) };
    let firmware_version = FirmwareVersion::observed(version.text()?)
        .map_err(|_| version.not("a firmware version such as 7.5.1"))?;
    let roles = match body.maybe("roles") {
        None => Vec::new(),
        Some(roles) => {
            let text = |role: &At<'_>| Ok(words::tame(role.text()?, 80));
            roles.list()?.iter().map(text).collect::<Reading<_>>()?
        }
    };
    Ok(Info { firmware_version, hostname: body.words("hostname", 255), roles })
}

/// The caller's name and how it logged in, by `GET /api/user_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserInfo {
    /// `user.name`.
    pub name: String,
    /// `login_method.name`, on releases that have it.
    pub login_method: Option<String>,
}

pub(crate) fn user_info(answer: &Value) -> Reading<UserInfo> {
    let root = At::root(answer);
    let place = root.maybe("body").unwrap_or(At::root(answer));
    let name = place.must("user")?.must("name")?;
    let method = place.maybe("login_method").and_then(|method| method.words("name", 80));
    Ok(UserInfo { name: words::tame(name.text()?, 255), login_method: method })
}

pub(crate) fn offered(answer: &Value) -> Reading<Offered> {
    let root = At::root(answer);
    let is_fetch = |item: &At<'_>| {
        let key = item.words("key", 80).or_else(|| item.value.as_str().map(str::to_owned));
        let href = item.maybe("meta").and_then(|meta| meta.words("href", 255));
        key.as_deref() == Some("fetch") || href.is_some_and(|href| href.ends_with("/fetch"))
    };
    let listed = root.must("items")?.list()?.iter().any(is_fetch);
    let linked = root.maybe("meta").and_then(|meta| meta.maybe("fetch")).is_some();
    Ok(Offered { fetch: listed || linked })
}

pub(crate) fn slots(answer: &Value) -> Reading<Vec<Slot>> {
    At::root(answer).must("items")?.list()?.iter().map(slot_at).collect()
}

/// One slot; it must be the one that was asked for.
pub(crate) fn slot(answer: &Value, asked: &SlotKey) -> Reading<Slot> {
    let slot = slot_at(&At::root(answer))?;
    if slot.key == *asked {
        Ok(slot)
    } else {
        let other = words::tame(slot.key.as_str(), 40);
        Err(Fault::Malformed(format!("the answer is about slot {other}, not {asked}")))
    }
}

fn slot_at(at: &At<'_>) -> Reading<Slot> {
    let key = SlotKey::new(&at.must("key")?.text_or_number()?);
    let body = at.must("body")?;
    let fields = body.value.as_object().ok_or_else(|| body.not("an object"))?;
    if fields.is_empty() {
        return Ok(Slot { key, content: None });
    }
    let content = SlotContent {
        version: version(&body)?,
        current: body.must("current")?.flag()?,
        after_reboot: body.must("after_reboot")?.flag()?,
    };
    Ok(Slot { key, content: Some(content) })
}

fn version(body: &At<'_>) -> Reading<String> {
    Ok(words::tame(&body.must("version")?.text_or_number()?, 80))
}

/// The slot that an upload filled. `after_reboot` is left out: the vendor's page shows it as true
/// and says that it is always false.
pub(crate) fn uploaded(answer: &Value) -> Reading<Slot> {
    let root = At::root(answer);
    let key = SlotKey::new(&root.must("key")?.text_or_number()?);
    let body = root.must("body")?;
    let content = SlotContent { version: version(&body)?, current: false, after_reboot: false };
    Ok(Slot { key, content: Some(content) })
}

pub(crate) fn fetch_key(answer: &Value) -> Reading<FetchKey> {
    Ok(FetchKey::new(&At::root(answer).must("key")?.text_or_number()?))
}

pub(crate) fn fetch_jobs(answer: &Value) -> Reading<Vec<FetchJob>> {
    At::root(answer).must("items")?.list()?.iter().map(fetch_job_at).collect()
}

/// One fetch job; it must be the one that was asked for.
pub(crate) fn fetch_job(answer: &Value, asked: &FetchKey) -> Reading<FetchJob> {
    let job = fetch_job_at(&At::root(answer))?;
    if job.key == *asked {
        Ok(job)
    } else {
        let other = words::tame(job.key.as_str(), 40);
        Err(Fault::Malformed(format!("the answer is about fetch job {other}, not {asked}")))
    }
}

fn fetch_job_at(at: &At<'_>) -> Reading<FetchJob> {
    let body = at.must("body")?;
    let count = |name: &str| body.maybe(name).and_then(|n| n.value.as_f64()).map_or(0, whole);
    Ok(FetchJob {
        key: FetchKey::new(&at.must("key")?.text_or_number()?),
        url: words::hide_user_info(body.must("url")?.text()?),
        status: match body.must("status")?.text()? {
            "queued" => FetchStatus::Queued,
            "in-progress" => FetchStatus::InProgress,
            "finished" => FetchStatus::Finished,
            "failed" => FetchStatus::Failed,
            "canceled" | "cancelled" => FetchStatus::Cancelled,
            other => FetchStatus::Other(words::tame(other, 80)),
        },
        info: body.words("info", 200),
        error: body.words("error", 500),
        slot: match body.maybe("slot_id") {
            None => None,
            Some(slot) => Some(SlotKey::new(&slot.text_or_number()?)),
        },
        downloaded: count("bytes_downloaded"),
        total: count("bytes_total"),
    })
}

/// What a test or an upgrade said; the words may be missing, the page promises none.
pub(crate) fn test_report(answer: &Value) -> TestReport {
    let body = answer.get("body");
    let text = body.and_then(|body| body.get("test_summary").or(Some(body))?.as_str());
    TestReport { summary: words::tame_lines(text.unwrap_or_default(), 4000) }
}

/// The key of a new support bundle.
pub(crate) fn bundle_key(answer: &Value) -> Reading<String> {
    At::root(answer).must("key")?.text_or_number()
}

/// Whether a support bundle is finished; a word that says it never will be is the error.
pub(crate) fn bundle_state(answer: &Value) -> Reading<Result<bool, String>> {
    let status = At::root(answer).must("body")?.must("status")?;
    Ok(match status.text()? {
        "finished" => Ok(true),
        word @ ("failed" | "error" | "canceled" | "cancelled") => Err(word.to_owned()),
        _ => Ok(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn missing<T: std::fmt::Debug>(reading: Reading<T>) -> String {
        match reading {
            Err(Fault::Malformed(text)) => text,
            other => panic!("{other:?} is not malformed"),
        }
    }

    #[test]
    fn slots_are_read_as_the_manual_shows_them() {
        let answer = json!({"items": [
            {"key": "1", "body": {"version": " 7.0.4 ", "current": true, "after_reboot": false, "upgrade_news": null}, "meta": {}},
            {"key": 2, "body": {"version": "7.0.5.1", "current": false, "after_reboot": true}},
            {"key": "3", "body": {}}], "meta": {}});
        let slots = slots(&answer).expect("slots");
        let shown = model::observed::describe_slots(&slots);
        assert_eq!(shown, "1: 7.0.4 (current), 2: 7.0.5.1 (after reboot), 3: empty");
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(missing(slots(&json!({"body": {}}))).contains("`items`"));
        let answer = json!({"items": [{"key": "1", "body": {"version": "7"}}]});
        assert!(missing(slots(&answer)).contains("`items[0].body.current`"));
        assert!(missing(slots(&json!({"items": [{"key": "1"}]}))).contains("`items[0].body`"));
        assert!(missing(setup(&json!({"meta": {}}))).contains("`status`"));
        assert!(missing(fetch_jobs(&json!({}))).contains("`items`"));
        assert!(missing(fetch_key(&json!({"meta": {}}))).contains("`key`"));
        assert!(missing(health(&json!({}))).contains("`health_status`"));
        assert!(missing(offered(&json!({}))).contains("`items`"));
        assert!(missing(cluster_status(&json!({"items": [{}]}))).contains("`items[0].key`"));
        assert!(missing(info(&json!({"meta": {}}))).contains("`body`"));
        let other = json!({"key": "2", "body": {}});
        assert!(missing(slot(&other, &SlotKey::new("3"))).contains("slot 2"));
    }

    #[test]
    fn info_without_a_version_is_a_lost_session() {
        let answer = json!({"key": "about_info", "body": {"hostname": "sps"}, "meta": {}});
        assert_eq!(info(&answer), Err(Fault::LoggedOut));
        let answer = json!({"body": {"firmware_version": "7.0.4", "version": "5 F7", "roles": ["search-master"]}});
        let info = info(&answer).expect("info");
        assert_eq!((info.firmware_version.to_string().as_str(), info.roles.len()), ("7.0.4", 1));
    }

    #[test]
    fn fetch_jobs_are_read_as_the_vendor_shows_them() {
        let answer = json!({"items": [
            {"body": {"bytes_downloaded": 1234, "bytes_total": 1_521_614_848_u64, "error": null, "info": "Downloading", "slot_id": null, "start_time": "2022-03-30T12:00:01+00:00", "status": "in-progress", "url": "https://u:p@example.com/sps.iso"}, "key": "42dee328"},
            {"body": {"bytes_downloaded": 1_594_798_080, "bytes_total": 1_594_798_080, "error": null, "info": null, "slot_id": 2, "status": "finished", "url": "https://example.com/o.iso"}, "key": "8f6f"},
            {"body": {"status": "cancelled", "url": "x"}, "key": "c"},
            {"body": {"status": "canceled", "url": "x"}, "key": "d"},
            {"body": {"status": "thinking", "url": "x"}, "key": "e"}]});
        let jobs = fetch_jobs(&answer).expect("jobs");
        assert_eq!(jobs[0].url, "https://example.com/sps.iso");
        assert_eq!((jobs[0].downloaded, jobs[0].total), (1234, 1_521_614_848));
        assert_eq!(jobs[1].slot, Some(SlotKey::new("2")));
        assert_eq!(jobs[2].status, FetchStatus::Cancelled);
        assert_eq!(jobs[3].status, FetchStatus::Cancelled);
        assert!(jobs[4].status.is_live());
    }

    #[test]
    fn fetch_is_offered_when_it_is_listed() {
        let with = json!({"items": [{"key": "fetch", "meta": {"href": "/api/firmware/fetch"}}, {"key": "slots"}]});
        let without = json!({"items": [{"key": "slots", "meta": {"href": "/api/firmware/slots"}}]});
        assert!(offered(&with).expect("offered").fetch);
        assert!(!offered(&without).expect("offered").fetch);
    }

    #[test]
    fn remaining_time_of_zero_says_nothing() {
        assert_eq!(remaining_seconds(&json!({"meta": {"remaining_seconds": 600}})), Some(600));
        assert_eq!(remaining_seconds(&json!({"meta": {"remaining_seconds": 0}})), None);
        assert_eq!(remaining_seconds(&json!({"meta": {}})), None);
    }

    #[test]
    fn a_report_needs_no_words() {
        assert_eq!(test_report(&json!({"body": {"test_summary": "a\nb"}})).summary, "a\nb");
        assert_eq!(test_report(&json!({"body": "..."})).summary, "...");
        assert_eq!(test_report(&json!({"key": "1"})).summary, "");
    }
}
