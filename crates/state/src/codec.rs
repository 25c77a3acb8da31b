//! Events as rows.

use std::path::Path;

use jiff::Timestamp;
use model::event::{Change, Event};
use model::{ApplianceName, RolloutId};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Shape of the payloads that this program writes.
pub(crate) const EVENT_SCHEMA: i64 = 1;

/// `seq, rollout, at, appliance, schema, payload`.
pub(crate) type EventRow = (i64, String, i64, Option<String>, i64, String);

/// An event as it is stored, for `json_each`: `seq, rollout, at, appliance, kind, schema, payload`.
pub(crate) type StoredEvent<'a> = (u64, &'a str, i64, Option<&'a str>, String, i64, String);

/// Makes the row of an event.
pub(crate) fn encode(event: &Event) -> Result<StoredEvent<'_>, serde_json::Error> {
    let (appliance, payload) = match &event.change {
        Change::Rollout(change) => (None, serde_json::to_string(change)?),
        Change::Appliance(name, change) => (Some(name.as_str()), serde_json::to_string(change)?),
    };
    let at = event.at.as_microsecond();
    let kind = kind_of(&payload).to_owned();
    Ok((event.seq, event.rollout.as_str(), at, appliance, kind, EVENT_SCHEMA, payload))
}

/// The variant's name: the payload is `"name"` or `{"name":…}`, so it stands between the first
/// two quotes.
fn kind_of(payload: &str) -> &str {
    payload.split('"').nth(1).unwrap_or_default()
}

/// Reads a row back.
pub(crate) fn decode(path: &Path, row: EventRow) -> Result<Event, Error> {
    let (seq, rollout, at, appliance, schema, payload) = row;
    let seq = u64::try_from(seq).map_err(|_| Error::damaged(path, format!("event {seq}")))?;
    if schema > EVENT_SCHEMA {
        return Err(Error::NewerEvent { seq, found: schema, known: EVENT_SCHEMA });
    }
    let damaged = |why: String| Error::damaged(path, format!("event {seq}: {why}"));
    let change = match appliance {
        None => Change::Rollout(parse(&payload).map_err(damaged)?),
        Some(name) => {
            let name = ApplianceName::new(&name).map_err(|error| damaged(error.to_string()))?;
            Change::Appliance(name, parse(&payload).map_err(damaged)?)
        }
    };
    let at = time(at).map_err(damaged)?;
    Ok(Event { seq, rollout: RolloutId::new(&rollout), at, change })
}

/// Reads stored JSON.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// Reads a stored word of an enum.
pub(crate) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| error.to_string())
}

/// Reads a stored time.
pub(crate) fn time(micros: i64) -> Result<Timestamp, String> {
    Timestamp::from_microsecond(micros).map_err(|error| error.to_string())
}

/// The time as it is stored: whole microseconds, so that what was appended reads back equal.
pub(crate) fn whole_micros(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use model::event::{ApplianceChange, RolloutChange, Step};

    use super::*;

    fn there_and_back(change: Change) -> (String, Event, Event) {
        let at = "2026-11-24T08:00:00.123456Z".parse().expect("a time");
        let event = Event { seq: 7, rollout: RolloutId::new("r"), at, change };
        let (seq, rollout, at, appliance, kind, schema, payload) = encode(&event).expect("a row");
        let seq = i64::try_from(seq).expect("small");
        let row = (seq, rollout.to_owned(), at, appliance.map(str::to_owned), schema, payload);
        let back = decode(Path::new("x.db"), row).expect("an event");
        (kind, event, back)
    }

    #[test]
    fn events_read_back_equal_and_their_kind_is_the_variants_name() {
        let (kind, event, back) = there_and_back(Change::Rollout(RolloutChange::Finished));
        assert_eq!((kind.as_str(), &event), ("finished", &back));
        let name = ApplianceName::new("ams-1").expect("a name");
        let (kind, event, back) =
            there_and_back(Change::Appliance(name, ApplianceChange::StepStarted(Step::Stage)));
        assert_eq!((kind.as_str(), &event), ("step_started", &back));
    }

    #[test]
    fn an_unreadable_or_newer_event_is_named() {
        let path = Path::new("x.db");
        let row = |schema, payload: &str| {
            decode(path, (3, "r".to_owned(), 0, None, schema, payload.to_owned()))
        };
        assert!(matches!(row(2, "\"finished\""), Err(Error::NewerEvent { seq: 3, found: 2, .. })));
        let error = row(1, "\"no_such_thing\"").expect_err("unknown");
        assert!(error.to_string().contains("event 3: unknown variant"), "{error}");
    }

    #[test]
    fn times_are_cut_to_what_is_stored() {
        let at: Timestamp = "2026-11-24T08:00:00.123456789Z".parse().expect("a time");
        assert_eq!(whole_micros(at).to_string(), "2026-11-24T08:00:00.123456Z");
        assert_eq!(time(whole_micros(at).as_microsecond()), Ok(whole_micros(at)));
    }
}
