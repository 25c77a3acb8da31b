//! `freeze override`: freezes of a site do not count for a while.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::SiteName;
use model::calendar::Calendar;
use model::decision::Decision;
use model::exit::Exit;
use model::run::Run;

use crate::context::Context;
use crate::deciding::hand_over;
use crate::view::words;
use crate::{coded, database};

/// Lifts freezes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    task: Task,
}

/// What can be done with freezes.
#[derive(Debug, Subcommand)]
enum Task {
    /// Freezes of a site do not count until then, for every unfinished rollout that they concern.
    Override(Override),
}

/// Freezes of a site do not count until then, for every unfinished rollout of the database that
/// they concern. Windows go on to count.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  spsfleet freeze override ams --until 2026-12-20T06:00 --state fleet.db \
                        --reason \"CVE-2026-1234\"\n\n\
                        A time without a zone is meant in the site's zone; one with it is RFC 3339, such as\n  \
                        2026-12-20T05:00:00Z"
)]
struct Override {
    /// Which site.
    #[arg(value_name = "SITE")]
    site: String,
    /// When the freezes count again.
    #[arg(long, value_name = "T")]
    until: String,
    /// The database of `run`.
    #[arg(long, value_name = "DB")]
    state: PathBuf,
    /// Why; kept in the journal.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Runs the command.
pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<Exit> {
    let Task::Override(args) = args.task;
    let site = SiteName::new(&args.site).map_err(|error| coded::usage(error.to_string()))?;
    if args.reason.trim().is_empty() {
        return Err(coded::usage("--reason must say why the freeze does not count"));
    }
    let until = Until::parse(&args.until)?;
    let concerned = concerned(&args, &site).await?;
    let mut decisions = Vec::new();
    for (run, calendar) in concerned {
        let moment = until.moment(&calendar);
        if moment <= context.now() {
            return Err(coded::usage(format!(
                "--until {} is {}, which is over; an override ends in the future",
                args.until,
                words::moment(moment)
            )));
        }
        decisions.push((run, calendar, moment));
    }
    for (run, calendar, until) in decisions {
        context.printer.say(&format!(
            "freezes of {site} do not count until {} ({}) for {}, {} from now",
            words::moment(until),
            words::local(until, &calendar.time_zone),
            run.plan.rollout,
            words::duration(until.duration_since(context.now()).max(SignedDuration::ZERO)),
        ));
        let decision = Decision::OverrideFreeze { site: site.clone(), until };
        hand_over(&args.state, &run, &args.reason, decision, context).await?;
    }
    Ok(Exit::Done)
}

/// The unfinished rollouts that a freeze of the site concerns; there is at least one.
async fn concerned(args: &Override, site: &SiteName) -> anyhow::Result<Vec<(Run, Calendar)>> {
    let reader = database::read(&args.state).await?;
    let mut concerned = Vec::new();
    let mut frozen: Vec<String> = Vec::new();
    for head in reader.rollouts().await.map_err(database::explain)? {
        if head.ended {
            continue;
        }
        let Some(run) = reader.snapshot(&head.id).await.map_err(database::explain)? else {
            continue;
        };
        let freezes = run.plan.calendars.iter().filter(|(_, of)| !of.freezes.is_empty());
        frozen.extend(freezes.map(|(site, _)| site.to_string()));
        let calendar = run.plan.calendars.get(site).filter(|of| !of.freezes.is_empty()).cloned();
        if let Some(calendar) = calendar {
            concerned.push((run, calendar));
        }
    }
    reader.close().await;
    frozen.sort();
    frozen.dedup();
    if !concerned.is_empty() {
        return Ok(concerned);
    }
    let known = match frozen.as_slice() {
        [] => "no unfinished rollout here has a freeze".to_owned(),
        sites => format!("sites with freezes: {}", sites.join(", ")),
    };
    Err(coded::usage(format!(
        "no freeze of site {site} concerns an unfinished rollout of {}; {known}",
        args.state.display()
    )))
}

/// A moment as a person writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Until {
    /// With its zone.
    Moment(Timestamp),
    /// On the site's wall clock.
    Local(DateTime),
}

impl Until {
    fn parse(text: &str) -> anyhow::Result<Self> {
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(Self::Moment(moment));
        }
        // A date alone leaves open whether its day still counts.
        let has_time = text.contains(':');
        match text.parse::<DateTime>() {
            Ok(local) if has_time => Ok(Self::Local(local)),
            _ => Err(coded::usage(format!(
                "--until {text}: not a time; write 2026-12-20T06:00 (in the site's zone) or 2026-12-20T05:00:00Z"
            ))),
        }
    }

    /// Of an hour that comes twice the first is meant: an override is rather short than long.
    fn moment(&self, calendar: &Calendar) -> Timestamp {
        match self {
            Self::Moment(moment) => *moment,
            Self::Local(local) => {
                let zone = TimeZone::get(&calendar.time_zone).unwrap_or(TimeZone::UTC);
                let ambiguous = zone.to_ambiguous_timestamp(*local);
                ambiguous.earlier().unwrap_or(Timestamp::MIN)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amsterdam() -> Calendar {
        let time_zone = "Europe/Amsterdam".to_owned();
        Calendar { time_zone, windows: Vec::new(), freezes: Vec::new() }
    }

    #[test]
    fn a_local_time_is_in_the_sites_zone() {
        let moment = |text: &str| {
            let until = Until::parse(text).expect("a time");
            until.moment(&amsterdam()).to_string()
        };
        assert_eq!(moment("2026-12-20T06:00"), "2026-12-20T05:00:00Z");
        assert_eq!(moment("2026-12-20 06:00"), "2026-12-20T05:00:00Z");
        assert_eq!(moment("2026-07-01T06:00:00"), "2026-07-01T04:00:00Z");
        assert_eq!(moment("2026-12-20T06:00:00Z"), "2026-12-20T06:00:00Z");
        assert_eq!(moment("2026-12-20T06:00:00+05:00"), "2026-12-20T01:00:00Z");
        assert_eq!(moment("2026-10-25T02:30"), "2026-10-25T00:30:00Z", "the first of both");
        for text in ["", "tomorrow", "2026-12-20", "06:00"] {
            assert!(Until::parse(text).is_err(), "{text}");
        }
    }
}
