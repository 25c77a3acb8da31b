//! Support bundles (sps-api.md, section 5, "Diagnostics").

use std::path::Path;

use http::Method;
use model::failure::{ApplianceError, FailureClass};
use serde_json::Value;

use crate::classify::{Asked, Kind};
use crate::client::{SpsAppliance, cookie_header};
use crate::line::{At, File, Outgoing, Payload};
use crate::session::{Fresh, Ticket};
use crate::sink::Sink;
use crate::wire::{self, Fault};

/// Where bundles are.
const BUNDLES: [&str; 3] = ["api", "troubleshooting", "support-bundle"];

impl SpsAppliance {
    pub(crate) async fn make_bundle(&self) -> Result<String, ApplianceError> {
        self.call(self.change(Method::POST, &BUNDLES, None), wire::bundle_key).await
    }

    pub(crate) async fn bundle_state(&self, key: &str) -> Result<bool, ApplianceError> {
        let [api, area, bundles] = BUNDLES;
        let path = [api, area, bundles, key];
        let asked = self.line.asked(Kind::Read, &Method::GET, &path);
        let state = self.call(self.get(&path), wire::bundle_state).await?;
        state.map_err(|word| {
            asked.fail(FailureClass::Refused, format!("the support bundle is `{word}`"))
        })
    }

    pub(crate) async fn remove_bundle(&self, key: &str) -> Result<(), ApplianceError> {
        let [api, area, bundles] = BUNDLES;
        let path = [api, area, bundles, key];
        self.call(self.change(Method::DELETE, &path, None), |_| Ok(())).await
    }

    pub(crate) async fn save_bundle(
        &self,
        key: &str,
        into: &Path,
        limit: u64,
    ) -> Result<u64, ApplianceError> {
        let [api, area, bundles] = BUNDLES;
        let path = [api, area, bundles, key, "download"];
        let asked = self.line.asked(Kind::Read, &Method::GET, &path);
        let ticket = self.ticket(&asked, Fresh::Alive).await?;
        let lost = match self.save_once(&asked, &path, &ticket, into, limit).await {
            Err(error) if error.class == FailureClass::LoggedOut => error,
            outcome => return outcome,
        };
        let ticket = self.renewed(&asked, Fresh::Alive, &ticket, lost).await?;
        let outcome = self.save_once(&asked, &path, &ticket, into, limit).await;
        self.renewed_for(&outcome);
        outcome
    }

    async fn save_once(
        &self,
        asked: &Asked,
        path: &[&str],
        ticket: &Ticket,
        into: &Path,
        limit: u64,
    ) -> Result<u64, ApplianceError> {
        let local = |text: String| asked.fail(FailureClass::Local, text);
        let mut sink = Sink::create(into, limit).await.map_err(local)?;
        let outgoing = Outgoing {
            method: Method::GET,
            at: At::Path(path),
            secrets: cookie_header(ticket),
            payload: Payload::None,
        };
        let reply = match self.line.exchange_file(asked, outgoing, &mut sink).await {
            Ok(File::Whole(incoming)) => {
                self.alive(ticket, incoming.cookie);
                if sink.is_empty() {
                    return Err(asked.fail(FailureClass::Malformed, "an empty support bundle"));
                }
                return sink.keep().await.map_err(local);
            }
            Ok(File::Other(incoming)) => Ok(incoming),
            Err(error) => Err(error),
        };
        let no_file = |_: &Value| Err(Fault::Malformed("JSON instead of a file".to_owned()));
        self.settle(asked, ticket, reply, no_file)
    }
}
