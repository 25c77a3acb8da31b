//! The units of one wave on their way, from event to event.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use jiff::{SignedDuration, Timestamp};
use model::plan::Plan;

use super::openings::Openings;
use super::unit::{Limits, Unit};

/// Why a unit cannot start now.
enum Not {
    /// Not before then.
    Until(Timestamp),
    /// A limit is reached: when somebody is through, it is asked again.
    Full,
    /// The rollout's own limit is reached.
    RolloutFull,
    /// No window is long enough.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A unit is through with its hop.
    End(usize),
    /// A queue may have somebody who can start.
    Wake(usize),
}

/// The units of one wave on their way. Units wait in the queue of their first site, so that a
/// site that is closed or full is asked once, and not each of its appliances.
pub(super) struct Course<'c, 'p> {
    openings: &'c mut Openings<'p>,
    units: &'c mut [Unit<'p>],
    rollout: u32,
    sites: Vec<u32>,
    groups: Vec<u32>,
    queues: Vec<BTreeSet<usize>>,
    /// Of each queue: the least that any of it needs, and the calendar if all have the same.
    shortest: Vec<SignedDuration>,
    calendar: Vec<Option<usize>>,
    /// The queues that units of other queues wait for.
    also: BTreeMap<usize, BTreeSet<usize>>,
    /// The queues of which a group has members.
    queues_of_group: BTreeMap<usize, BTreeSet<usize>>,
    /// Who may be able to start: the first of each queue that was woken.
    candidates: BTreeSet<(usize, usize)>,
    waiting_for_rollout: BTreeSet<usize>,
    /// When each queue is woken next, beside what ends.
    alarms: Vec<Option<Timestamp>>,
    events: BinaryHeap<Reverse<(Timestamp, Event)>>,
    now: Timestamp,
}

impl<'c, 'p> Course<'c, 'p> {
    pub(super) fn new(
        plan: &Plan,
        limits: &Limits<'p>,
        openings: &'c mut Openings<'p>,
        units: &'c mut [Unit<'p>],
        now: Timestamp,
    ) -> Self {
        let mut course = Self {
            openings,
            units,
            rollout: plan.limits.unavailable,
            sites: limits.of_sites.clone(),
            groups: limits.of_groups.clone(),
            queues: vec![BTreeSet::new(); limits.of_sites.len()],
            shortest: vec![SignedDuration::MAX; limits.of_sites.len()],
            calendar: vec![None; limits.of_sites.len()],
            also: BTreeMap::new(),
            queues_of_group: BTreeMap::new(),
            candidates: BTreeSet::new(),
            waiting_for_rollout: BTreeSet::new(),
            alarms: vec![None; limits.of_sites.len()],
            events: BinaryHeap::new(),
            now,
        };
        for at in 0..course.units.len() {
            course.enqueue(at);
        }
        for queue in 0..course.queues.len() {
            course.wake(queue);
        }
        course
    }

    fn enqueue(&mut self, at: usize) {
        let Some(unit) = self.units.get(at) else { return };
        let Some((home, _)) = unit.sites.first().copied() else { return };
        if let Some(shortest) = self.shortest.get_mut(home) {
            *shortest = unit.need.took.min(*shortest);
        }
        if let ([calendar], Some(of)) = (unit.calendars.as_slice(), self.calendar.get_mut(home))
            && unit.sites.len() == 1
        {
            *of = Some(*calendar);
        }
        for (site, _) in unit.sites.iter().skip(1) {
            self.also.entry(*site).or_default().insert(home);
        }
        for (group, _) in &unit.groups {
            self.queues_of_group.entry(*group).or_default().insert(home);
        }
        if let Some(queue) = self.queues.get_mut(home) {
            queue.insert(at);
        }
    }

    /// Until nobody is under way and nobody can start any more.
    pub(super) fn run(&mut self) {
        loop {
            self.start_all();
            let Some(Reverse((at, event))) = self.events.pop() else { return };
            self.now = at;
            self.handle(event);
            while let Some(Reverse((also, event))) = self.events.peek().copied()
                && also == at
            {
                self.events.pop();
                self.handle(event);
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Wake(queue) => {
                if self.alarms.get(queue) == Some(&Some(self.now)) {
                    self.wake(queue);
                }
            }
            Event::End(at) => self.ended(at),
        }
    }

    /// Gives the places of a unit back and wakes all who may have waited for them.
    fn ended(&mut self, at: usize) {
        let Some(unit) = self.units.get_mut(at) else { return };
        unit.hops = unit.hops.saturating_sub(1);
        self.rollout = self.rollout.saturating_add(unit.width);
        let mut woken: Vec<usize> = Vec::new();
        for (site, width) in &unit.sites {
            if let Some(free) = self.sites.get_mut(*site) {
                *free = free.saturating_add(*width);
            }
            woken.push(*site);
            woken.extend(self.also.get(site).into_iter().flatten());
        }
        for (group, width) in &unit.groups {
            if let Some(free) = self.groups.get_mut(*group) {
                *free = free.saturating_add(*width);
            }
            woken.extend(self.queues_of_group.get(group).into_iter().flatten());
        }
        if unit.hops > 0 {
            unit.ready = self.now.checked_add(unit.staging).ok();
            self.enqueue(at);
        }
        woken.extend(std::mem::take(&mut self.waiting_for_rollout));
        for queue in woken {
            self.wake(queue);
        }
    }

    /// Starts all that can start now, in the order of the wave.
    fn start_all(&mut self) {
        while self.rollout > 0
            && let Some((at, queue)) = self.candidates.pop_first()
        {
            // What was started since may have taken its places.
            if self.why_not(at).is_none() {
                self.start(at, queue);
            }
            self.wake(queue);
        }
    }

    fn start(&mut self, at: usize, queue: usize) {
        if let Some(queue) = self.queues.get_mut(queue) {
            queue.remove(&at);
        }
        let Some(unit) = self.units.get_mut(at) else { return };
        self.rollout = self.rollout.saturating_sub(unit.width);
        for (site, width) in &unit.sites {
            if let Some(free) = self.sites.get_mut(*site) {
                *free = free.saturating_sub(*width);
            }
        }
        for (group, width) in &unit.groups {
            if let Some(free) = self.groups.get_mut(*group) {
                *free = free.saturating_sub(*width);
            }
        }
        let end = self.now.saturating_add(unit.need.took).unwrap_or(Timestamp::MAX);
        unit.start.get_or_insert(self.now);
        unit.end = (unit.hops <= 1).then_some(end);
        self.events.push(Reverse((end, Event::End(at))));
    }

    /// Looks for the first of a queue who can start now; when there is none, for the moment at
    /// which one may.
    fn wake(&mut self, queue: usize) {
        if self.queues.get(queue).is_none_or(BTreeSet::is_empty)
            || self.sites.get(queue) == Some(&0)
        {
            return;
        }
        if let Some(calendar) = self.calendar.get(queue).copied().flatten() {
            let shortest = self.shortest.get(queue).copied().unwrap_or_default();
            if let Some(at) = self.openings.fit(&[calendar], self.now, shortest)
                && at > self.now
            {
                return self.wake_at(queue, at);
            }
        }
        let mut waiting = self.queues.get_mut(queue).map(std::mem::take).unwrap_or_default();
        let mut earliest: Option<Timestamp> = None;
        let mut never = Vec::new();
        for at in &waiting {
            match self.why_not(*at) {
                None => {
                    self.candidates.insert((*at, queue));
                    earliest = None;
                    break;
                }
                Some(Not::Until(moment)) => {
                    earliest = Some(earliest.map_or(moment, |other| other.min(moment)));
                }
                Some(Not::RolloutFull) => {
                    self.waiting_for_rollout.insert(queue);
                }
                Some(Not::Full) => {}
                Some(Not::Never) => never.push(*at),
            }
        }
        for at in never {
            waiting.remove(&at);
        }
        if let Some(queue) = self.queues.get_mut(queue) {
            *queue = waiting;
        }
        if let Some(moment) = earliest {
            self.wake_at(queue, moment);
        }
    }

    /// Wakes a queue then, unless it is woken before that anyway.
    fn wake_at(&mut self, queue: usize, at: Timestamp) {
        let Some(alarm) = self.alarms.get_mut(queue) else { return };
        if alarm.is_none_or(|set| set <= self.now || set > at) {
            *alarm = Some(at);
            self.events.push(Reverse((at, Event::Wake(queue))));
        }
    }

    fn why_not(&mut self, at: usize) -> Option<Not> {
        let Some(unit) = self.units.get(at) else { return Some(Not::Never) };
        let Some(ready) = unit.ready else { return Some(Not::Never) };
        if ready > self.now {
            return Some(Not::Until(ready));
        }
        let full = |free: &[u32], wanted: &[(usize, u32)]| {
            wanted.iter().any(|(at, width)| free.get(*at).is_none_or(|free| free < width))
        };
        if full(&self.sites, &unit.sites) || full(&self.groups, &unit.groups) {
            return Some(Not::Full);
        }
        let fit = self.openings.fit(&unit.calendars, self.now, unit.need.took);
        match fit {
            None => Some(Not::Never),
            Some(moment) if moment > self.now => {
                // It fits at no time before that: nothing has to be asked again.
                if let Some(unit) = self.units.get_mut(at) {
                    unit.ready = Some(moment);
                }
                Some(Not::Until(moment))
            }
            Some(_) if self.rollout < unit.width => Some(Not::RolloutFull),
            Some(_) => None,
        }
    }
}
