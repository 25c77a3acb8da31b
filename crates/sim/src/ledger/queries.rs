//! Questions that tests ask a ledger.

use crate::faults::fits;

use super::{CallRecord, Entry, Ledger, Life};

impl Ledger {
    /// The calls that one appliance saw, in order.
    #[must_use]
    pub fn calls_of(&self, appliance: &str) -> Vec<CallRecord> {
        self.of(appliance, |entry| entry.call().cloned())
    }

    /// What happened to one appliance, in order.
    #[must_use]
    pub fn life_of(&self, appliance: &str) -> Vec<Life> {
        self.of(appliance, |entry| entry.life().cloned())
    }

    /// How many calls of a method and path one appliance saw, whatever became of them. `{…}` in
    /// the path stands for any one segment.
    #[must_use]
    pub fn count(&self, appliance: &str, request: &str) -> usize {
        self.calls_of(appliance).iter().filter(|call| call.is(request)).count()
    }

    /// How many calls of a method and path changed the appliance.
    #[must_use]
    pub fn changes(&self, appliance: &str, request: &str) -> usize {
        self.calls_of(appliance).iter().filter(|call| call.changed && call.is(request)).count()
    }

    fn of<T>(&self, appliance: &str, pick: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
        let mut found: Vec<_> = self
            .book()
            .entries
            .iter()
            .filter(|entry| entry.appliance.as_str() == appliance)
            .filter_map(|entry| Some((entry.began, pick(entry)?)))
            .collect();
        found.sort_by_key(|(began, _)| *began);
        found.into_iter().map(|(_, what)| what).collect()
    }
}

impl CallRecord {
    /// Whether it was this request, such as `DELETE /api/firmware/fetch/{key}`.
    #[must_use]
    pub fn is(&self, request: &str) -> bool {
        request
            .split_once(' ')
            .is_some_and(|(method, path)| fits(method, path, &self.method, &self.path))
    }
}
