//! The reads that steps repeat, as values.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use model::failure::ApplianceError;
use model::names::{FetchKey, SlotKey};
use model::observed::{ClusterNode, FetchJob, Health, Info, Offered, Slot, TestReport};
use model::ports::Appliance;

/// Something that is asked of an appliance and may be asked again.
pub(crate) type Question<T> =
    Box<dyn Fn(Arc<dyn Appliance>) -> BoxFuture<'static, Result<T, ApplianceError>> + Send + Sync>;

macro_rules! question {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $answer:ty, $($call:tt)+) => {
        $(#[$doc])*
        pub(crate) fn $name($($arg: &$type),*) -> Question<$answer> {
            $(let $arg = $arg.clone();)*
            Box::new(move |port| {
                $(let $arg = $arg.clone();)*
                Box::pin(async move { port.$($call)+.await })
            })
        }
    };
}

question! { /** `GET /api/info`. */ info() -> Info, info() }
question! { /** `GET /api/firmware`. */ offered() -> Offered, offered() }
question! { /** `GET /api/firmware/slots`. */ slots() -> Vec<Slot>, slots() }
question! { /** `GET /api/firmware/slots/KEY`. */ slot(key: SlotKey) -> Slot, slot(&key) }
question! { /** `GET /api/firmware/fetch`. */ fetch_jobs() -> Vec<FetchJob>, fetch_jobs() }
question! { /** `GET /api/firmware/fetch/KEY`. */ fetch_job(key: FetchKey) -> Option<FetchJob>, fetch_job(&key) }
question! { /** `GET /api/cluster/status`, on central management. */ cluster_status() -> Vec<ClusterNode>, cluster_status() }
question! { /** `GET /api/health_status`. */ health() -> Health, health() }
question! { /** `POST /api/firmware/test`, which changes nothing. */ test(key: SlotKey, limit: Duration) -> TestReport, test(&key, limit) }
