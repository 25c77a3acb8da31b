//! Simulated Safeguard for Privileged Sessions appliances, in-process or over HTTPS.
//!
//! They behave as the vendor's documents say (docs/appliance.md lists fact, source and test),
//! quirks included; what no document says can be had both ways ([`Quirks`]).
//!
//! In-process, for virtual time:
//!
//! ```
//! # use std::sync::Arc;
//! use model::ports::{Clock, NoThrottle, OpenGate};
//! use sim::{ApplianceSpec, Fault, FaultPlan, FaultRule, SimFleet, SimImage, TokioClock};
//!
//! # let mut runtime = tokio::runtime::Builder::new_current_thread();
//! # runtime.enable_all().start_paused(true).build().expect("a runtime").block_on(async {
//! let clock = Arc::new(TokioClock::starting_at("2026-03-01T00:00:00Z".parse().expect("a time")));
//! let image = SimImage::described("7.5.1", 1_500_000_000);
//! let name = model::ApplianceName::new("ams-1").expect("a name");
//! let fleet = SimFleet::builder()
//!     .clock(clock.clone())
//!     .appliance(ApplianceSpec::new(name, "7.5.0"))
//!     .image("https://repo.example/sps.iso", image.clone())
//!     .faults(FaultPlan::default().with(
//!         FaultRule::once("POST /api/firmware/upgrade", Fault::ReplyLost).at("ams-1"),
//!     ))
//!     .build();
//! let entry = fleet.inventory_entry("ams-1").expect("it is there");
//! let ams = fleet.connector().connect(&entry, Arc::new(NoThrottle), Arc::new(OpenGate));
//!
//! let job = ams.start_fetch("https://repo.example/sps.iso", &image.sha256).await.expect("a key");
//! clock.sleep(std::time::Duration::from_secs(300)).await;
//! let slot = ams.fetch_job(&job).await.expect("an answer").expect("a record").slot.expect("a slot");
//! let limit = std::time::Duration::from_secs(900);
//! ams.test(&slot, limit).await.expect("a good test");
//! let lost = ams.upgrade(&slot, "CHG1", limit).await.expect_err("the reply is lost");
//! assert_eq!(lost.class, model::failure::FailureClass::OutcomeUnknown);
//! clock.sleep(std::time::Duration::from_secs(600)).await;
//! assert_eq!(ams.info().await.expect("an answer").firmware_version.to_string(), "7.5.1");
//! assert_eq!(fleet.ledger().changes("ams-1", "POST /api/firmware/upgrade"), 1);
//! # });
//! ```

mod appliance;
mod clock;
pub mod conformance;
pub mod faults;
mod fleet;
mod https;
mod images;
pub mod ledger;
mod pair;
mod port;
mod power;
pub mod sample;
mod spec;

pub use appliance::{PairView, Phase, SimAppliance};
pub use clock::TokioClock;
pub use faults::{
    AdminAct, Behaviour, BehaviourRule, CertificateWhen, Fault, FaultPlan, FaultRule, Illness, When,
};
pub use fleet::{SimFleet, SimFleetBuilder};
pub use https::images::{ImageServer, ImageShelf};
pub use https::{SimError, SimServer};
pub use images::{IMAGE_HEADER, Images, SimImage, version_in_header};
pub use ledger::{
    CallRecord, ChangedBy, Entry, Ledger, Life, LoginRecord, Node, PowerAct, PowerRecord,
    RestartBy, What,
};
pub use pair::PairSpec;
pub use port::{ClientSettings, InProcess, SimPower};
pub use spec::{ApplianceSpec, BootPage, HealthSpec, Quirks, Timings, UpgradeMode};
