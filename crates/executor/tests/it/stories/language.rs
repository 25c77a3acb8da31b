//! The language of stories, read into statements.
//!
//! A story is a text file. Its first line is a comment that says which rule it is about, and from
//! which page. Each further line says one thing; an unknown word is an error with its place.
//!
//! ```text
//! # why                              the rule, and where it stands
//! start 2026-12-01T20:00Z            when it begins; this when it is not said
//! fleet: |                           fleet.yaml, indented. Added where missing: `version`, a login,
//!   appliances:                      the address of `- {name: …}`
//!     - {name: a1, site: ams}
//! rollout: |                         rollout.yaml; added where missing: `version`, `name`,
//!   waves: …                         `firmware` (7.5.1), `message`, `select` (all)
//! rollout second: |                  another rollout of the same fleet and journal
//! faults: |                          what goes wrong, as the simulator reads it (sim::faults)
//! appliance a1 version 7.4.0         how the simulated one differs from what the inventory says:
//!                                    version V, arms, reboots, sessions N, slot K V, armed K,
//!                                    hostname H, certificate C, syncs D
//! ```
//!
//! In YAML `$sha(V)` and `$url(V)` are the sum and the address of the image of V, a hop `- {version: V}`
//! gets both, and `$bmc(NODE)` is a power service behind Redfish.
//!
//! Then what happens, in order:
//!
//! ```text
//! at +2h: ACT                        two hours after the start, or at a time: 2026-12-02T01:00Z,
//!                                    2026-10-25T02:30[Europe/Amsterdam]; said before the run
//! when a1 restarts +30s: ACT         once, when a line of the tale begins so (and so long after)
//! run [NAME] [no-wait]               the command `run`: it ends when only a person can help
//! serve 10h [NAME]                   the service: it stays for persons, and is stopped then
//! wait 3h                            no program runs
//! ACT                                at once
//! ```
//!
//! ACT is one of
//!
//! ```text
//! person pause [all] [now] | resume | abort [now] | approve WAVE | retry A… | skip A…
//!      | resolve A done|not-done | confirm A STEP | override SITE until TIME
//! hands A reboot | secondary-off | secondary-on | power-off | power-on     at the machine itself
//! admin A {arm: {slot: "4"}}         another administrator (sim::AdminAct)
//! kill [for 2h]                      the program dies at once and is started again (so long after)
//! die                                the program dies and is not started again
//! journal breaks | works
//! program NAME fails [for WHO] | works
//! clock +3h                          the wall clock jumps
//! look                               tells why appliances wait
//! ```

mod brief;

use jiff::{SignedDuration, Timestamp, ZonedDateTime};
use model::decision::{Decision, PersonStep};
use model::names::{ApplianceName, SiteName, WaveName};
use sim::{AdminAct, FaultPlan};

pub(super) use brief::{SIZE, image, url};
use brief::{expanded, fleet_text, rollout_text};

/// A story, read.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) name: String,
    pub(super) why: String,
    pub(super) start: Timestamp,
    pub(super) fleet: String,
    pub(super) rollouts: Vec<(String, String)>,
    pub(super) faults: FaultPlan,
    pub(super) appliances: Vec<(ApplianceName, Differs)>,
    pub(super) statements: Vec<Statement>,
}

/// How a simulated appliance differs from what its inventory entry says.
#[derive(Debug)]
pub(super) enum Differs {
    Version(String),
    Arms,
    Reboots,
    Sessions(u64),
    Slot(usize, String),
    Armed(String),
    Hostname(String),
    Certificate(String),
    Syncs(SignedDuration),
}

/// A line that happens.
#[derive(Debug)]
pub(super) enum Statement {
    At(Moment, Act),
    When { text: String, after: SignedDuration, act: Act },
    Do(Act),
    Run { rollout: Option<String>, no_wait: bool },
    Serve { rollout: Option<String>, lasts: SignedDuration },
    Wait(SignedDuration),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    After(SignedDuration),
    At(Timestamp),
}

#[derive(Debug, Clone)]
pub(super) enum Act {
    Person(Decision),
    Hands(ApplianceName, Hand),
    Admin(ApplianceName, AdminAct),
    Kill(SignedDuration),
    Die,
    Journal { works: bool },
    Program { name: String, fails: bool, of: Option<String> },
    Clock(SignedDuration),
    Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hand {
    Reboot,
    SecondaryOff,
    SecondaryOn,
    PowerOff,
    PowerOn,
}

/// Reads a story.
///
/// # Panics
/// With file and line of the first word that is not understood.
pub(super) fn read(name: &str, text: &str) -> Story {
    let lines: Vec<&str> = text.lines().collect();
    let mut story = Story {
        name: name.to_owned(),
        why: String::new(),
        start: "2026-12-01T20:00:00Z".parse().expect("a time"),
        fleet: String::new(),
        rollouts: Vec::new(),
        faults: FaultPlan::default(),
        appliances: Vec::new(),
        statements: Vec::new(),
    };
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let number = at + 1;
        at += 1;
        let read = match line.strip_suffix(": |") {
            Some(head) if !head.starts_with([' ', '#']) => {
                let inside = |line: &&&str| line.is_empty() || line.starts_with(' ');
                let block: Vec<&str> = lines.iter().skip(at).take_while(inside).copied().collect();
                at += block.len();
                story.block(head, &block)
            }
            _ => story.line(line, number == 1),
        };
        if let Err(why) = read {
            panic!("{name}.story:{number}: {why}: {line}");
        }
    }
    assert!(!story.why.is_empty(), "{name}.story:1: the first line says which rule, from where");
    assert!(!story.fleet.is_empty(), "{name}.story: there is no fleet");
    if story.rollouts.is_empty() {
        story.rollouts.push(("r1".to_owned(), rollout_text("r1", "")));
    }
    story
}

type Read<T = ()> = Result<T, String>;

impl Story {
    fn block(&mut self, head: &str, lines: &[&str]) -> Read {
        let cut: Vec<&str> =
            lines.iter().map(|line| line.strip_prefix("  ").unwrap_or(line)).collect();
        let text = expanded(&format!("{}\n", cut.join("\n").trim_end()));
        match head.split(' ').collect::<Vec<_>>()[..] {
            ["fleet"] => self.fleet = fleet_text(&text),
            ["rollout"] => self.rollouts.push(("r1".to_owned(), rollout_text("r1", &text))),
            ["rollout", name] => self.rollouts.push((name.to_owned(), rollout_text(name, &text))),
            ["faults"] => {
                let value = planner::yaml::read(&text).map_err(|error| error.to_string())?;
                self.faults = serde_json::from_value(value).map_err(|error| error.to_string())?;
            }
            _ => return Err(format!("`{head}` is no block")),
        }
        Ok(())
    }

    fn line(&mut self, line: &str, first: bool) -> Read {
        let line = line.trim_end();
        if let Some(comment) = line.strip_prefix('#') {
            if first {
                comment.trim().clone_into(&mut self.why);
            }
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let statement = match words[..] {
            [] => return Ok(()),
            ["start", at] => {
                self.start = moment(at)?;
                return Ok(());
            }
            ["appliance", of, ref differs @ ..] => {
                let name = name(of)?;
                for one in differences(differs)? {
                    self.appliances.push((name.clone(), one));
                }
                return Ok(());
            }
            ["at", ..] => {
                let (at, act) = parts(line, "at ")?;
                let at = match at.strip_prefix('+') {
                    Some(after) => Moment::After(duration(after)?),
                    None => Moment::At(moment(at)?),
                };
                Statement::At(at, act_of(act)?)
            }
            ["when", ..] => {
                let (text, act) = parts(line, "when ")?;
                let (text, after) = match text.rsplit_once(" +") {
                    Some((text, after)) => (text, duration(after)?),
                    None => (text, SignedDuration::ZERO),
                };
                Statement::When { text: text.to_owned(), after, act: act_of(act)? }
            }
            ["run", ref rest @ ..] => {
                let no_wait = rest.contains(&"no-wait");
                let mut names = rest.iter().filter(|word| **word != "no-wait");
                Statement::Run { rollout: names.next().map(|name| (*name).to_owned()), no_wait }
            }
            ["serve", lasts, ref rest @ ..] => Statement::Serve {
                lasts: duration(lasts)?,
                rollout: rest.first().map(|name| (*name).to_owned()),
            },
            ["wait", lasts] => Statement::Wait(duration(lasts)?),
            _ => Statement::Do(act_of(line)?),
        };
        self.statements.push(statement);
        Ok(())
    }
}

/// What comes before the colon, and the act after it.
fn parts<'a>(line: &'a str, word: &str) -> Read<(&'a str, &'a str)> {
    let rest = line.strip_prefix(word).unwrap_or(line);
    rest.split_once(": ").ok_or_else(|| "there is no `: ACT`".to_owned())
}

fn act_of(text: &str) -> Read<Act> {
    let words: Vec<&str> = text.split_whitespace().collect();
    Ok(match words[..] {
        ["person", ref decision @ ..] => Act::Person(decision_of(decision)?),
        ["hands", of, hand] => Act::Hands(name(of)?, hand_of(hand)?),
        ["admin", of, ..] => {
            let yaml = text.split_once(&format!(" {of} ")).map_or("", |(_, yaml)| yaml);
            let value = planner::yaml::read(&expanded(yaml)).map_err(|error| error.to_string())?;
            let act = serde_json::from_value(value).map_err(|error| error.to_string())?;
            Act::Admin(name(of)?, act)
        }
        ["kill"] => Act::Kill(SignedDuration::ZERO),
        ["kill", "for", lasts] => Act::Kill(duration(lasts)?),
        ["die"] => Act::Die,
        ["journal", "breaks"] => Act::Journal { works: false },
        ["journal", "works"] => Act::Journal { works: true },
        ["program", name, "works"] => {
            Act::Program { name: name.to_owned(), fails: false, of: None }
        }
        ["program", name, "fails"] => Act::Program { name: name.to_owned(), fails: true, of: None },
        ["program", name, "fails", "for", of] => {
            Act::Program { name: name.to_owned(), fails: true, of: Some(of.to_owned()) }
        }
        ["clock", by] => {
            let sign = if by.starts_with('-') { -1 } else { 1 };
            Act::Clock(duration(by.trim_start_matches(['+', '-']))? * sign)
        }
        ["look"] => Act::Look,
        _ => return Err("unknown words".to_owned()),
    })
}

fn decision_of(words: &[&str]) -> Read<Decision> {
    let names = |of: &[&str]| of.iter().map(|of| name(of)).collect::<Read<Vec<_>>>();
    Ok(match *words {
        ["pause", ref how @ ..] => {
            if let Some(other) = how.iter().find(|word| !["all", "now"].contains(word)) {
                return Err(format!("unknown word `{other}`"));
            }
            Decision::Pause { all: how.contains(&"all"), now: how.contains(&"now") }
        }
        ["resume"] => Decision::Resume,
        ["abort"] => Decision::Abort,
        ["abort", "now"] => Decision::AbortNow,
        ["approve", wave] => {
            Decision::Approve { wave: WaveName::new(wave).map_err(|error| error.to_string())? }
        }
        ["retry", ref of @ ..] => Decision::Retry { appliances: names(of)? },
        ["skip", ref of @ ..] => Decision::Skip { appliances: names(of)? },
        ["resolve", of, "done"] => Decision::Resolve { appliance: name(of)?, done: true },
        ["resolve", of, "not-done"] => Decision::Resolve { appliance: name(of)?, done: false },
        ["confirm", of, step] => {
            let step = PersonStep::ALL.into_iter().find(|known| known.name() == step);
            let step = step.ok_or_else(|| "there is no such step".to_owned())?;
            Decision::Confirm { appliance: name(of)?, step }
        }
        ["override", site, "until", until] => Decision::OverrideFreeze {
            site: SiteName::new(site).map_err(|error| error.to_string())?,
            until: moment(until)?,
        },
        _ => return Err("no such decision".to_owned()),
    })
}

fn hand_of(word: &str) -> Read<Hand> {
    Ok(match word {
        "reboot" => Hand::Reboot,
        "secondary-off" => Hand::SecondaryOff,
        "secondary-on" => Hand::SecondaryOn,
        "power-off" => Hand::PowerOff,
        "power-on" => Hand::PowerOn,
        _ => return Err(format!("hands cannot `{word}`")),
    })
}

fn differences(words: &[&str]) -> Read<Vec<Differs>> {
    let mut all = Vec::new();
    let mut rest = words;
    while !rest.is_empty() {
        let (one, after) = match *rest {
            ["version", version, ref after @ ..] => (Differs::Version(version.to_owned()), after),
            ["arms", ref after @ ..] => (Differs::Arms, after),
            ["reboots", ref after @ ..] => (Differs::Reboots, after),
            ["sessions", count, ref after @ ..] => {
                (Differs::Sessions(count.parse().map_err(|_| "no number".to_owned())?), after)
            }
            ["slot", key, version, ref after @ ..] => {
                let key = key.parse().map_err(|_| "no slot".to_owned())?;
                (Differs::Slot(key, version.to_owned()), after)
            }
            ["armed", slot, ref after @ ..] => (Differs::Armed(slot.to_owned()), after),
            ["hostname", host, ref after @ ..] => (Differs::Hostname(host.to_owned()), after),
            ["certificate", made_of, ref after @ ..] => {
                (Differs::Certificate(made_of.to_owned()), after)
            }
            ["syncs", after_time, ref after @ ..] => (Differs::Syncs(duration(after_time)?), after),
            _ => return Err(format!("no appliance is `{}`", rest.join(" "))),
        };
        all.push(one);
        rest = after;
    }
    Ok(all)
}

fn name(text: &str) -> Read<ApplianceName> {
    ApplianceName::new(text).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Read<SignedDuration> {
    text.parse().map_err(|_| format!("`{text}` is no duration"))
}

fn moment(text: &str) -> Read<Timestamp> {
    let zoned = || text.parse::<ZonedDateTime>().map(|zoned| zoned.timestamp());
    text.parse().or_else(|_| zoned()).map_err(|_| format!("`{text}` is no moment"))
}
