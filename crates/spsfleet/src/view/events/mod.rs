//! What happened, one line or one JSON object each.

mod appliance;
mod rollout;

use model::event::{Change, Event, RolloutChange};
use serde_json::{Value, json};

use super::words;
use crate::printer::{Paint, Style};

/// A change in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// What happened.
    pub(crate) text: String,
    /// By what it was seen: for looking back.
    pub(crate) detail: String,
    /// How it looks.
    pub(crate) style: Style,
    /// Whether a person who watches wants to see it; the rest is for looking back.
    pub(crate) main: bool,
}

impl Told {
    /// Text and detail.
    pub(crate) fn whole(&self) -> String {
        if self.detail.is_empty() {
            self.text.clone()
        } else {
            format!("{} ({})", self.text, self.detail)
        }
    }

    fn seen_by(self, detail: &str) -> Self {
        Self { detail: detail.to_owned(), ..self }
    }
}

fn main(style: Style, text: impl Into<String>) -> Told {
    Told { text: text.into(), detail: String::new(), style, main: true }
}

fn fine(text: impl Into<String>) -> Told {
    Told { text: text.into(), detail: String::new(), style: Style::Dim, main: false }
}

/// One line of text for `events`.
pub(crate) fn line(event: &Event, paint: Paint) -> String {
    let told = tell(&event.change);
    let who = match &event.change {
        Change::Appliance(name, _) => name.as_str(),
        Change::Rollout(_) => "-",
    };
    format!(
        "{}  {}  {who:<16}  {}",
        paint.on(Style::Dim, &format!("{:>5}", event.seq)),
        words::moment(event.at),
        paint.on(told.style, &told.whole())
    )
}

/// One JSON object for `events --output json`. A plan shows as its digest; `plan` shows it whole.
pub(crate) fn object(event: &Event) -> Value {
    let (appliance, change) = match &event.change {
        Change::Appliance(name, change) => (Some(name.as_str()), value(change)),
        Change::Rollout(change) => (None, rollout_value(change)),
    };
    json!({
        "schema": 1,
        "seq": event.seq,
        "at": event.at,
        "rollout": event.rollout,
        "appliance": appliance,
        "text": tell(&event.change).whole(),
        "change": change,
    })
}

fn value(change: &impl serde::Serialize) -> Value {
    serde_json::to_value(change).unwrap_or(Value::Null)
}

fn rollout_value(change: &RolloutChange) -> Value {
    match change {
        RolloutChange::PlanAccepted { plan, actor } => {
            json!({ "plan_accepted": { "plan": plan.digest, "actor": actor } })
        }
        RolloutChange::Replanned { plan, actor } => {
            json!({ "replanned": { "plan": plan.digest, "actor": actor } })
        }
        _ => value(change),
    }
}

/// Says what happened.
pub(crate) fn tell(change: &Change) -> Told {
    match change {
        Change::Rollout(change) => rollout::tell(change),
        Change::Appliance(_, change) => appliance::tell(change),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use model::event::{ApplianceChange, StagedHow};
    use model::{ApplianceName, RolloutId, SlotKey};

    fn event(change: ApplianceChange) -> Event {
        Event {
            seq: 12,
            rollout: RolloutId::new("r"),
            at: Timestamp::from_millisecond(1_800_000_000_123).expect("a time"),
            change: Change::Appliance(ApplianceName::new("ams-1").expect("a name"), change),
        }
    }

    #[test]
    fn a_line_names_number_time_and_appliance() {
        let staged =
            event(ApplianceChange::Staged { slot: SlotKey::new("2"), how: StagedHow::Fetched });
        assert_eq!(
            line(&staged, Paint(false)),
            "   12  2027-01-15T08:00:00Z  ams-1             staged in slot 2 (fetched)"
        );
    }

    #[test]
    fn an_object_has_the_change_and_its_words() {
        let object = object(&event(ApplianceChange::Armed));
        assert_eq!(object["schema"], 1);
        assert_eq!(object["appliance"], "ams-1");
        assert_eq!(object["change"], "armed");
        assert_eq!(object["text"], "armed: boots the new firmware at its next restart");
    }
}
