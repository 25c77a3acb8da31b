//! Reads rollout.yaml as it stands, field by field. Defaults that depend on nothing else are
//! applied here.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use model::calendar::{Freeze, Window};
use model::rollout::{
    Checks, Drain, DrainOtherwise, FailureBudget, Hook, HookKind, MakeRoom, OnBreach,
    RolloutLimits, StageMode, Timeouts,
};
use model::{FirmwareVersion, RolloutName, Sha256Hex, WaveName};

use crate::access;
use crate::duration;
use crate::fleet_file::{count, lasting, version};
use crate::reader::{Map, Reader};
use crate::select::{self, Select};
use crate::source::{At, Field, Span};
use crate::tree::Node;
use crate::values;
use crate::window;

/// The file as it stands.
#[derive(Debug)]
pub(crate) struct RolloutFile {
    pub(crate) name: Option<At<RolloutName>>,
    pub(crate) firmware: Option<RawFirmware>,
    pub(crate) message: Option<At<String>>,
    pub(crate) select: Option<Select>,
    pub(crate) waves: Vec<RawWave>,
    pub(crate) limits: RolloutLimits,
    pub(crate) stage: StageMode,
    pub(crate) failure_budget: FailureBudget,
    pub(crate) drain: Field<Drain>,
    pub(crate) checks: Checks,
    pub(crate) make_room: MakeRoom,
    pub(crate) unreachable_wait: SignedDuration,
    pub(crate) timeouts: Timeouts,
    pub(crate) windows: Field<Vec<Window>>,
    pub(crate) freezes: Field<Vec<Freeze>>,
    pub(crate) hooks: BTreeMap<HookKind, Hook>,
    /// Durations as they were given, for the warnings about short ones.
    pub(crate) durations: Vec<(&'static str, SignedDuration)>,
}

/// `firmware`.
#[derive(Debug)]
pub(crate) struct RawFirmware {
    pub(crate) version: Option<At<FirmwareVersion>>,
    pub(crate) sha256: Option<At<Sha256Hex>>,
    pub(crate) fetch: Field<String>,
    pub(crate) upload: Field<String>,
    pub(crate) adopt: bool,
    pub(crate) via: Field<Vec<RawFirmware>>,
}

impl RawFirmware {
    /// All versions to install, in order; the target is the last.
    pub(crate) fn hops(&self) -> impl Iterator<Item = &Self> {
        self.via.value().into_iter().flatten().chain([self])
    }
}

/// An entry of `waves`.
#[derive(Debug)]
pub(crate) struct RawWave {
    pub(crate) span: Span,
    pub(crate) name: WaveName,
    pub(crate) picks: Picks,
    pub(crate) soak: Field<SignedDuration>,
    pub(crate) approval: Field<bool>,
    pub(crate) failure_budget: Option<FailureBudget>,
}

/// What a wave takes of what earlier waves left.
#[derive(Debug)]
pub(crate) enum Picks {
    /// What is selected.
    Select(Select),
    /// Up to this share of all, with earlier waves counted in.
    Percent(At<u32>),
    /// All that is left.
    Rest,
}

const KEYS: &[&str] = &[
    "version",
    "name",
    "firmware",
    "message",
    "select",
    "waves",
    "limits",
    "stage",
    "failure_budget",
    "drain",
    "checks",
    "slots",
    "unreachable",
    "timeouts",
    "windows",
    "freezes",
    "hooks",
];

/// Reads the file; faults are collected, and what could be read is returned.
pub(crate) fn read(reader: &mut Reader<'_>, root: &Node<'_>) -> Option<RolloutFile> {
    let map = reader.map(root, "a rollout file", KEYS)?;
    version(reader, &map);
    let name = map.require(reader, "name");
    let name = name.and_then(|node| reader.name(node, "`name`", RolloutName::new));
    let fw = map.require(reader, "firmware").and_then(|node| firmware(reader, node, true));
    let message = map.require(reader, "message").and_then(|node| reader.text(node, "`message`"));
    let selected =
        map.require(reader, "select").and_then(|node| select::read(reader, node, "`select`"));
    let waves = match map.get("waves") {
        Some(node) => waves(reader, node),
        None => WaveName::new("all")
            .ok()
            .map(|name| RawWave {
                span: map.span(),
                name,
                picks: Picks::Rest,
                soak: Field::Absent,
                approval: Field::Absent,
                failure_budget: None,
            })
            .into_iter()
            .collect(),
    };
    let mut durations = Vec::new();
    let timeouts = timeouts(reader, &map, &mut durations);
    Some(RolloutFile {
        name,
        firmware: fw,
        message,
        select: selected,
        waves,
        limits: limits(reader, &map),
        stage: stage(reader, &map),
        failure_budget: map
            .get("failure_budget")
            .and_then(|node| failure_budget(reader, node))
            .unwrap_or(FailureBudget { count: Some(1), percent: None, on_breach: OnBreach::Pause }),
        drain: map.field(reader, "drain", |r, n| drain(r, n, &mut durations)),
        checks: checks(reader, &map),
        make_room: make_room(reader, &map),
        unreachable_wait: unreachable_wait(reader, &map, &mut durations),
        timeouts,
        windows: map.field(reader, "windows", window::windows),
        freezes: map.field(reader, "freezes", window::freezes),
        hooks: map.get("hooks").map(|node| hooks(reader, node)).unwrap_or_default(),
        durations,
    })
}

fn firmware(reader: &mut Reader<'_>, node: &Node<'_>, last: bool) -> Option<RawFirmware> {
    let map = if last {
        let keys = &["version", "sha256", "fetch", "upload", "adopt", "via"];
        reader.map(node, "`firmware`", keys)?
    } else {
        let keys = &["version", "sha256", "fetch", "upload"];
        reader.map(node, "a hop of `via`", keys)?
    };
    let folder = reader.source.folder.as_str();
    let version = map.require(reader, "version");
    let version = version.and_then(|node| reader.parse(node, "`version`", values::version));
    let sha256 = map.require(reader, "sha256");
    let sha256 = sha256.and_then(|node| reader.parse(node, "`sha256`", values::sha256));
    let fetch = map.field(reader, "fetch", |r, n| r.parse(n, "`fetch`", values::url));
    let upload = map
        .field(reader, "upload", |r, n| r.parse(n, "`upload`", |text| values::path(folder, text)));
    if fetch.is_absent() && upload.is_absent() {
        reader
            .fault("no-image", map.span(), "there is neither `fetch` nor `upload`")
            .label("where does the image come from?")
            .help("`fetch: URL` for the appliances to pull, `upload: PATH` to push, or both");
    }
    let adopt = if last { map.get("adopt").and_then(|n| reader.flag(n, "`adopt`")) } else { None };
    let via = if last { map.field(reader, "via", via) } else { Field::Absent };
    Some(RawFirmware {
        version,
        sha256,
        fetch,
        upload,
        adopt: adopt.is_none_or(|at| at.value),
        via,
    })
}

fn via(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<Vec<RawFirmware>>> {
    let span = reader.span(node);
    let hops = reader.each(node, "`via`", |reader, node| firmware(reader, node, false))?;
    Some(At { value: hops, span })
}

fn waves(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<RawWave> {
    let span = reader.span(node);
    let Some(nodes) = reader.list(node, "`waves`") else { return Vec::new() };
    if nodes.is_empty() {
        reader
            .fault("empty-list", span, "`waves` is an empty list, so nobody is in a wave")
            .help("leave it out for one wave with everybody in it");
    }
    nodes.iter().filter_map(|node| wave(reader, node)).collect()
}

fn wave(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<RawWave> {
    let keys = &["name", "select", "percent", "soak", "approval", "failure_budget"];
    let map = reader.map(node, "a wave", keys)?;
    let name = map.require(reader, "name");
    let name = name.and_then(|node| reader.name(node, "`name` of a wave", WaveName::new));
    let selected = map.get("select").map(|node| select::read(reader, node, "`select` of a wave"));
    let percent = map.get("percent").map(|node| reader.number(node, "`percent`", 1, 100));
    if let (Some(_), Some(node), Some(select)) = (&selected, map.get("percent"), map.get("select"))
    {
        let (span, first) = (reader.span(node), reader.span(select));
        reader
            .fault("one-of", span, "a wave takes only one of `select` and `percent`")
            .label("one too many")
            .related(first, "already given here");
    }
    let soak = map.field(reader, "soak", |r, n| r.parse(n, "`soak`", duration::parse_or_none));
    let approval = map.field(reader, "approval", |r, n| {
        r.choice(n, "`approval`", &[("required", true), ("none", false)])
    });
    let budget = map.get("failure_budget").and_then(|node| failure_budget(reader, node));
    let picks = match (selected, percent) {
        (Some(select), _) => Picks::Select(select?),
        (None, Some(percent)) => Picks::Percent(percent?),
        (None, None) => Picks::Rest,
    };
    let name = name?;
    Some(RawWave {
        span: name.span,
        name: name.value,
        picks,
        soak,
        approval,
        failure_budget: budget,
    })
}

fn limits(reader: &mut Reader<'_>, map: &Map<'_, '_>) -> RolloutLimits {
    let defaults = RolloutLimits { transfers: 10, unavailable: 1, requests_per_second: 50 };
    let Some(node) = map.get("limits") else { return defaults };
    let keys = &["transfers", "unavailable", "requests_per_second"];
    let Some(map) = reader.map(node, "`limits`", keys) else { return defaults };
    let mut limit = |key, default| count(reader, &map, key).value().copied().unwrap_or(default);
    RolloutLimits {
        transfers: limit("transfers", defaults.transfers),
        unavailable: limit("unavailable", defaults.unavailable),
        requests_per_second: limit("requests_per_second", defaults.requests_per_second),
    }
}

fn stage(reader: &mut Reader<'_>, map: &Map<'_, '_>) -> StageMode {
    let words = [("ahead", StageMode::Ahead), ("in_window", StageMode::InWindow)];
    let stage = map.get("stage").and_then(|node| reader.choice(node, "`stage`", &words));
    stage.map_or(StageMode::Ahead, |at| at.value)
}

/// Reads a failure budget. One failure is the budget where neither number is given.
fn failure_budget(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<FailureBudget> {
    let map = reader.map(node, "`failure_budget`", &["count", "percent", "on_breach"])?;
    let number = count(reader, &map, "count");
    let percent = map.field(reader, "percent", |r, n| r.number(n, "`percent`", 1, 100));
    let words = [("pause", OnBreach::Pause), ("abort", OnBreach::Abort)];
    let on_breach = map.get("on_breach").and_then(|n| reader.choice(n, "`on_breach`", &words));
    let count = match (&number, &percent) {
        (Field::Absent, Field::Absent) => Some(1),
        _ => number.value().copied(),
    };
    Some(FailureBudget {
        count,
        percent: percent.value().copied(),
        on_breach: on_breach.map_or(OnBreach::Pause, |at| at.value),
    })
}

fn drain(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    durations: &mut Vec<(&'static str, SignedDuration)>,
) -> Option<At<Drain>> {
    let map = reader.map(node, "`drain`", &["sessions", "wait", "otherwise"])?;
    let sessions = map.field(reader, "sessions", |r, n| r.number(n, "`sessions`", 0, u32::MAX));
    let wait = lasting(reader, &map, "wait");
    durations.extend(wait.value().map(|wait| ("drain.wait", *wait)));
    let words = [("hold", DrainOtherwise::Hold), ("proceed", DrainOtherwise::Proceed)];
    let otherwise = map.get("otherwise").and_then(|n| reader.choice(n, "`otherwise`", &words));
    let value = Drain {
        sessions: sessions.value().copied().unwrap_or(0).into(),
        wait: wait.value().copied().unwrap_or(SignedDuration::from_mins(15)),
        otherwise: otherwise.map_or(DrainOtherwise::Hold, |at| at.value),
    };
    Some(At { value, span: reader.span(node) })
}

fn checks(reader: &mut Reader<'_>, map: &Map<'_, '_>) -> Checks {
    let mut checks = Checks { disk_used_max: 90, require_untainted: true, support_bundle: false };
    let keys = &["disk_used_max", "require_untainted", "support_bundle"];
    let Some(map) = map.get("checks").and_then(|node| reader.map(node, "`checks`", keys)) else {
        return checks;
    };
    let disk = map.field(reader, "disk_used_max", |r, n| r.number(n, "`disk_used_max`", 1, 100));
    let untainted = map.field(reader, "require_untainted", |r, n| r.flag(n, "`require_untainted`"));
    let bundle = map.field(reader, "support_bundle", |r, n| r.flag(n, "`support_bundle`"));
    checks.disk_used_max = disk.value().copied().unwrap_or(checks.disk_used_max);
    checks.require_untainted = untainted.value().copied().unwrap_or(checks.require_untainted);
    checks.support_bundle = bundle.value().copied().unwrap_or(checks.support_bundle);
    checks
}

fn make_room(reader: &mut Reader<'_>, map: &Map<'_, '_>) -> MakeRoom {
    let words = [("never", MakeRoom::Never), ("oldest", MakeRoom::Oldest)];
    map.get("slots")
        .and_then(|node| reader.map(node, "`slots`", &["make_room"]))
        .and_then(|map| map.get("make_room").and_then(|n| reader.choice(n, "`make_room`", &words)))
        .map_or(MakeRoom::Never, |at| at.value)
}

fn unreachable_wait(
    reader: &mut Reader<'_>,
    map: &Map<'_, '_>,
    durations: &mut Vec<(&'static str, SignedDuration)>,
) -> SignedDuration {
    let default = SignedDuration::from_hours(2);
    let Some(map) =
        map.get("unreachable").and_then(|node| reader.map(node, "`unreachable`", &["wait"]))
    else {
        return default;
    };
    let Some(wait) = lasting(reader, &map, "wait").value().copied() else { return default };
    durations.push(("unreachable.wait", wait));
    wait
}

/// Reads `timeouts`. Without `stall` it is a sixth of `stage`, at most ten minutes.
fn timeouts(
    reader: &mut Reader<'_>,
    map: &Map<'_, '_>,
    durations: &mut Vec<(&'static str, SignedDuration)>,
) -> Timeouts {
    let defaults = Timeouts::default();
    let keys = &["stage", "stall", "test", "upgrade", "armed_grace", "return", "verify", "blind"];
    let Some(map) = map.get("timeouts").and_then(|n| reader.map(n, "`timeouts`", keys)) else {
        return defaults;
    };
    let mut timeout = |key: &'static str, default| {
        let Some(given) = lasting(reader, &map, key).value().copied() else { return default };
        durations.push((key, given));
        given
    };
    let stage = timeout("stage", defaults.stage);
    let stall = (stage / 6).min(SignedDuration::from_mins(10));
    Timeouts {
        stage,
        stall: timeout("stall", stall),
        test: timeout("test", defaults.test),
        upgrade: timeout("upgrade", defaults.upgrade),
        armed_grace: timeout("armed_grace", defaults.armed_grace),
        r#return: timeout("return", defaults.r#return),
        verify: timeout("verify", defaults.verify),
        blind: timeout("blind", defaults.blind),
    }
}

fn hooks(reader: &mut Reader<'_>, node: &Node<'_>) -> BTreeMap<HookKind, Hook> {
    let keys = &["before", "after", "cluster_before", "cluster_after", "wave_before", "wave_after"];
    let Some(map) = reader.map(node, "`hooks`", keys) else { return BTreeMap::new() };
    let kinds = [
        HookKind::Before,
        HookKind::After,
        HookKind::ClusterBefore,
        HookKind::ClusterAfter,
        HookKind::WaveBefore,
        HookKind::WaveAfter,
    ];
    map.given()
        .filter_map(|(key, node)| {
            let kind = kinds.into_iter().find(|kind| kind.name() == key)?;
            Some((kind, hook(reader, node)?))
        })
        .collect()
}

fn hook(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Hook> {
    let map = reader.map(node, "a hook", &["command", "timeout"])?;
    let words =
        map.require(reader, "command").and_then(|node| access::words(reader, node, "`command`"));
    let timeout = lasting(reader, &map, "timeout");
    Some(Hook {
        command: words?,
        timeout: timeout.value().copied().unwrap_or(SignedDuration::from_mins(1)),
    })
}
