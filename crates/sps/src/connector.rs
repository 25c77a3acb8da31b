//! Makes clients.

use std::fmt;
use std::sync::Arc;

use model::fleet;
use model::ports::{Appliance, Clock, CommandRunner, Connector, LoginGate, Throttle};

use crate::client::SpsAppliance;
use crate::credentials::Credentials;
use crate::line::Shared;
use crate::options::Options;

/// Connects to real appliances. Clones share connections and limits.
#[derive(Clone)]
pub struct SpsConnector {
    shared: Arc<Shared>,
    credentials: Credentials,
}

impl SpsConnector {
    /// A connector without any connection yet. `runner` runs password commands.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, runner: Arc<dyn CommandRunner>, options: Options) -> Self {
        let directory = options.credentials_directory.clone();
        Self {
            shared: Arc::new(Shared::new(clock, options)),
            credentials: Credentials { runner, directory },
        }
    }

    /// As [`Connector::connect`], with what the appliance has beyond the port.
    #[must_use]
    pub fn client(
        &self,
        appliance: &fleet::Appliance,
        throttle: Arc<dyn Throttle>,
        logins: Arc<dyn LoginGate>,
    ) -> SpsAppliance {
        SpsAppliance::new(&self.shared, self.credentials.clone(), appliance, throttle, logins)
    }
}

impl Connector for SpsConnector {
    fn connect(
        &self,
        appliance: &fleet::Appliance,
        throttle: Arc<dyn Throttle>,
        logins: Arc<dyn LoginGate>,
    ) -> Arc<dyn Appliance> {
        Arc::new(self.client(appliance, throttle, logins))
    }
}

impl fmt::Debug for SpsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpsConnector")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}
