//! What a Redfish service's answers mean. Errors are read as DSP0266 has them: `error.message`,
//! and `@Message.ExtendedInfo` with what is of use to a person.

use model::failure::{ApplianceError, FailureClass};
use model::ports::PowerState;
use serde_json::Value;

use crate::classify::{Answer, Asked};
use crate::words;

/// A `ComputerSystem`.
pub(super) struct System(pub(super) Value);

impl System {
    /// Whether it has power. On the way from one to the other it still is what it was, so that
    /// nobody takes a node for off that may still write.
    pub(super) fn power_state(&self) -> Result<PowerState, String> {
        match self.0.get("PowerState") {
            Some(Value::String(word)) => match word.as_str() {
                // A paused one has power.
                "On" | "PoweringOff" | "Paused" => Ok(PowerState::On),
                "Off" | "PoweringOn" => Ok(PowerState::Off),
                other => Err(format!("`{}` is no PowerState", words::tame(other, 40))),
            },
            None | Some(Value::Null) => Err("the system does not say its PowerState".to_owned()),
            Some(_) => Err("the field `PowerState` of the answer is not a string".to_owned()),
        }
    }

    fn action(&self) -> Option<&Value> {
        self.0.get("Actions")?.get("#ComputerSystem.Reset")
    }

    /// Where a reset is posted, where the service says so.
    pub(super) fn reset_target(&self) -> Option<&str> {
        self.action()?.get("target")?.as_str().filter(|target| !target.is_empty())
    }

    /// Which kinds of reset it offers, where it says so.
    pub(super) fn reset_types(&self) -> Option<Vec<&str>> {
        let offered = self.action()?.get("ResetType@Redfish.AllowableValues")?.as_array()?;
        Some(offered.iter().filter_map(Value::as_str).collect())
    }
}

/// Reads an answer: its JSON (null for an act that was answered without), or what its failure
/// means.
pub(super) fn judge(asked: &Asked, answer: &Answer) -> Result<Value, ApplianceError> {
    let body = answer.body.trim_ascii();
    let value = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    let acts = asked.kind.changes();
    if (200..300).contains(&answer.status) {
        // Services also report success in the shape of an error.
        return match value {
            Some(value) => Ok(value),
            None if acts && body.is_empty() => Ok(Value::Null),
            None => {
                let class =
                    if acts { FailureClass::OutcomeUnknown } else { FailureClass::NotAnApi };
                Err(failed(asked, answer, class, &foreign(answer)))
            }
        };
    }
    let class = match answer.status {
        401 => FailureClass::CredentialsRefused,
        408 | 429 => asked.kind.lost(),
        400..500 | 501 => FailureClass::Refused,
        500.. => asked.kind.lost(),
        _ if acts => FailureClass::OutcomeUnknown,
        _ => FailureClass::NotAnApi,
    };
    let said = value.as_ref().and_then(said).unwrap_or_else(|| foreign(answer));
    Err(failed(asked, answer, class, &said))
}

fn failed(asked: &Asked, answer: &Answer, class: FailureClass, text: &str) -> ApplianceError {
    ApplianceError {
        status: Some(answer.status),
        retry_after: answer.retry_after,
        ..asked.fail(class, text)
    }
}

fn foreign(answer: &Answer) -> String {
    let kind = words::tame(answer.content_type.as_deref().unwrap_or("no content type"), 60);
    match answer.status {
        300..400 => format!(
            "a redirect instead of an answer (HTTP {}); give the system's id as the service lists it",
            answer.status
        ),
        status => format!("an answer that is not of Redfish (HTTP {status}, {kind})"),
    }
}

/// The service's own words: each extended message with what it proposes, else the general one.
fn said(value: &Value) -> Option<String> {
    const EXTENDED: &str = "@Message.ExtendedInfo";
    let error = value.get("error");
    let extended = error.and_then(|error| error.get(EXTENDED)).or_else(|| value.get(EXTENDED));
    // Some services give one message where the standard has a list.
    let infos =
        extended.map(|info| info.as_array().map_or(std::slice::from_ref(info), Vec::as_slice));
    let infos = infos.unwrap_or_default();
    let text = |info: &Value, name: &str| Some(info.get(name)?.as_str()?.trim().to_owned());
    let message = |info: &Value| {
        let message = text(info, "Message")?;
        Some(match text(info, "Resolution").filter(|text| !text.is_empty() && text != "None") {
            Some(resolution) => format!("{message} {resolution}"),
            None => message,
        })
    };
    let messages: Vec<String> = infos.iter().filter_map(message).collect();
    let ids = || infos.iter().filter_map(|info| text(info, "MessageId")).collect::<Vec<_>>();
    let text = match error.and_then(|error| text(error, "message")) {
        _ if !messages.is_empty() => messages.join(" "),
        Some(general) => general,
        None => Some(ids().join(" ")).filter(|ids| !ids.is_empty())?,
    };
    Some(words::tame(&words::hide_user_info(&text), 500))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::Kind;
    use FailureClass::{CredentialsRefused, NotAnApi, OutcomeUnknown, Refused, Transient};
    use serde_json::json;

    fn asked(kind: Kind) -> Asked {
        Asked { kind, request: "POST /x".to_owned(), host: "h".to_owned() }
    }

    fn classes(status: u16, body: &str) -> [Option<FailureClass>; 2] {
        [Kind::Read, Kind::Change].map(|kind| {
            let answer = Answer { status, body: body.to_owned().into(), ..Answer::default() };
            judge(&asked(kind), &answer).err().map(|error| error.class)
        })
    }

    #[test]
    fn answers_mean_something() {
        let ok = json!({"error": {"code": "Base.1.8.Success"}}).to_string();
        assert_eq!(classes(200, &ok), [None, None]);
        assert_eq!(classes(204, ""), [Some(NotAnApi), None]);
        assert_eq!(classes(200, "<html>"), [Some(NotAnApi), Some(OutcomeUnknown)]);
        assert_eq!(classes(302, ""), [Some(NotAnApi), Some(OutcomeUnknown)]);
        assert_eq!(classes(401, "<html>"), [Some(CredentialsRefused); 2]);
        for status in [400, 403, 404, 405, 409, 501] {
            assert_eq!(classes(status, "{}"), [Some(Refused); 2], "{status}");
        }
        for status in [408, 429, 500, 502, 503] {
            assert_eq!(classes(status, "{}"), [Some(Transient), Some(OutcomeUnknown)], "{status}");
        }
    }

    #[test]
    fn the_service_speaks_in_its_own_words() {
        let detail = |body: Value| {
            let answer = Answer { status: 400, body: body.to_string().into(), ..Answer::default() };
            judge(&asked(Kind::Change), &answer).expect_err("refused").detail
        };
        let info = json!([
            {"MessageId": "Base.1.8.ActionParameterNotSupported", "Message": "ResetType is\u{7} wrong.", "Resolution": "Use another."},
            {"MessageId": "Base.1.8.Other", "Resolution": "None"}]);
        let error =
            json!({"error": {"code": "c", "message": "general", "@Message.ExtendedInfo": info}});
        assert_eq!(detail(error), "ResetType is wrong. Use another.");
        let only_an_id = json!([{"MessageId": "Base.1.0.GeneralError"}]);
        let error = json!({"error": {"message": "general", "@Message.ExtendedInfo": only_an_id}});
        assert_eq!(detail(error), "general");
        let only_an_id = json!({"@Message.ExtendedInfo": [{"MessageId": "Base.1.0.GeneralError"}]});
        assert_eq!(detail(only_an_id), "Base.1.0.GeneralError");
        assert_eq!(detail(json!({"error": {"message": "general"}})), "general");
        assert_eq!(detail(json!({"@Message.ExtendedInfo": {"Message": "one"}})), "one");
        assert_eq!(
            detail(json!({})),
            "an answer that is not of Redfish (HTTP 400, no content type)"
        );
    }

    #[test]
    fn on_the_way_it_is_still_what_it_was() {
        let state = |word: &str| System(json!({ "PowerState": word })).power_state();
        for (word, state_) in [
            ("On", PowerState::On),
            ("Off", PowerState::Off),
            ("PoweringOn", PowerState::Off),
            ("PoweringOff", PowerState::On),
        ] {
            assert_eq!(state(word), Ok(state_), "{word}");
        }
        assert!(state("Sideways").is_err());
        assert!(System(json!({ "PowerState": null })).power_state().is_err());
        assert!(System(json!({})).power_state().is_err());
    }

    #[test]
    fn a_service_that_does_not_say_what_it_offers_offers_everything() {
        let none = System(json!({}));
        assert_eq!((none.reset_target(), none.reset_types()), (None, None));
        let some = System(json!({"Actions": {"#ComputerSystem.Reset": {
            "target": "/x", "ResetType@Redfish.AllowableValues": ["On", 3]}}}));
        assert_eq!((some.reset_target(), some.reset_types()), (Some("/x"), Some(vec!["On"])));
    }
}
