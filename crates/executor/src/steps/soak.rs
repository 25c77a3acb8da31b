//! Watches an upgraded appliance while its wave soaks and later waves go: who falls ill stops the
//! rollout.

use std::time::Duration;

use model::event::{FailureCode, Step};
use model::observed::SetupStatus;

use super::ask::{Answering, TWO_LOOKS, is_silence, not_ready};
use super::checks::{health_faults, worse_than};
use super::context::{Context, unsigned};
use super::{Done, fail};

const STEP: Step = Step::Soak;

/// The shortest and the longest pause between two looks. The longest keeps a session alive, so
/// that a look costs no login (sps-api.md, section 1: ten minutes).
const SHORTEST: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_mins(5);

pub(super) async fn soak(context: &mut Context) -> Done {
    let wave = context.plan.waves.iter().find(|wave| wave.appliances.contains(&context.name));
    let soak = wave.map_or(Duration::ZERO, |wave| unsigned(wave.soak));
    let every = if soak.is_zero() { LONGEST } else { (soak / 10).clamp(SHORTEST, LONGEST) };
    let mut answering = Answering::default();
    let mut silent_since = None;
    let mut ill_since: Option<Duration> = None;
    // Not all at the same moment.
    let mut pause = every.mul_f64(0.5 + context.shared.random.unit() / 2.0);
    loop {
        context.sleep(pause).await;
        pause = every;
        let now = context.monotonic();
        match look(context).await {
            Look::Well => {
                answering.answered(context);
                (silent_since, ill_since) = (None, None);
            }
            Look::Silent(why) => {
                answering.silent(context);
                let since = *silent_since.get_or_insert(now);
                let wait = context.plan.unreachable_wait;
                if now - since >= unsigned(wait) {
                    let text = format!("it was upgraded and has not answered for {wait:#}: {why}");
                    return Err(fail(STEP, FailureCode::Unreachable, text));
                }
                pause = every.min(TWO_LOOKS.max(LONGEST / 10));
            }
            Look::Ill(why) => {
                answering.answered(context);
                silent_since = None;
                let since = *ill_since.get_or_insert(now);
                if now - since >= TWO_LOOKS {
                    let text = format!("it was upgraded and fell ill while it was watched: {why}");
                    return Err(fail(STEP, FailureCode::VerifyFailed, text));
                }
                pause = TWO_LOOKS;
            }
        }
    }
}

enum Look {
    Well,
    Silent(String),
    Ill(String),
}

async fn look(context: &Context) -> Look {
    match context.port.setup().await {
        Ok(SetupStatus::Completed) => {}
        Ok(other) => return Look::Silent(not_ready(&other)),
        Err(error) => return Look::Silent(error.to_string()),
    }
    let health = match context.port.health().await {
        Ok(health) => health,
        // It answers; that it cannot be looked into is no illness.
        Err(error) if !is_silence(&error) => return Look::Well,
        Err(error) => return Look::Silent(error.to_string()),
    };
    let faults = match context.run.baseline.as_ref() {
        Some(baseline) => worse_than(&baseline.health, &health, &context.plan),
        None => health_faults(&health, &context.plan),
    };
    if !faults.is_empty() {
        return Look::Ill(faults.join("; "));
    }
    match context.port.info().await {
        Ok(info) if info.firmware_version != context.plan.firmware.version => {
            Look::Ill(format!("it runs {} now", info.firmware_version))
        }
        Ok(_) | Err(_) => Look::Well,
    }
}
