//! The appliances over HTTPS, each on its own loopback address with a certificate of the
//! simulator's authority.

mod answer;
mod download;
mod keeper;
mod multipart;
mod redfish;
mod route;
mod tls;
mod wire;

pub(crate) mod images;
mod render;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use model::digest::Sha256Hex;
use model::fleet as inventory;
use model::names::ApplianceName;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fleet::{SimFleet, SimFleetBuilder};
use crate::ledger::Node;
use crate::spec::ApplianceSpec;
use keeper::Site;
use tls::{Authority, Shown};

/// Why a simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// An address is not of this machine alone.
    #[error("{appliance}: {address} is no loopback address; the simulator binds nothing else")]
    NotLoopback {
        /// The appliance.
        appliance: ApplianceName,
        /// The address.
        address: IpAddr,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address} for {name}")]
    Bind {
        /// Who was to listen.
        name: String,
        /// The address and port.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A certificate could not be made.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The client for downloads could not be made.
    #[error("cannot make the client for downloads")]
    Client(#[from] reqwest::Error),
    /// A file could not be read or written.
    #[error("cannot read or write {path}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// A fleet on the network. Dropping it ends it; appliances and ledger can still be asked.
#[derive(Debug)]
pub struct SimServer {
    fleet: Arc<SimFleet>,
    places: BTreeMap<ApplianceName, (SocketAddr, Sha256Hex)>,
    hardware: (SocketAddr, Sha256Hex),
    authority: Authority,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl SimServer {
    /// Starts every appliance of the fleet: on its spec's address and port where given, else on
    /// one of 127.77.0.0/16 and a free port. Fetches are really done, uploads really read.
    ///
    /// # Errors
    /// When an address is no loopback address or cannot be listened on, or TLS cannot be set up.
    pub async fn start(builder: SimFleetBuilder) -> Result<Self, SimError> {
        let fleet = builder.real_transfers().build();
        let authority = Authority::new("Simulated appliances")?;
        let stranger = Authority::new("Nobody vouches for this")?;
        let client = download::client()?;
        let (hardware, bound) = listen("the power service", HARDWARE).await?;
        let shown = authority.leaf(&[bound.ip()], "bmc.sim.invalid")?;
        let mut server = Self {
            fleet: Arc::clone(&fleet),
            places: BTreeMap::new(),
            hardware: (bound, shown.sum.clone()),
            authority,
            stop: CancellationToken::new(),
            tasks: fleet.shared().tasks.clone(),
        };
        server.keep_hardware(hardware, &shown);
        let mut shared = BTreeMap::new();
        for (index, appliance) in fleet.appliances().enumerate() {
            let spec = appliance.spec();
            let address = spec.address.unwrap_or_else(|| nth_address(index));
            if !address.is_loopback() {
                return Err(SimError::NotLoopback { appliance: spec.name, address });
            }
            let wanted = SocketAddr::new(address, spec.port.unwrap_or(0));
            let (listener, bound) = listen(spec.name.as_str(), wanted).await?;
            let right = match spec.certificate.as_ref().and_then(|text| shared.get(text)) {
                Some(shown) => Shown::clone(shown),
                None => {
                    let places = same_certificate(&fleet, &spec, address);
                    server.authority.leaf(&places, &spec.hostname)?
                }
            };
            if let Some(text) = spec.certificate {
                shared.insert(text, right.clone());
            }
            let wrong = stranger.leaf(&[address], &spec.hostname)?;
            server.places.insert(spec.name, (bound, right.sum.clone()));
            server.keep(appliance, bound, listener, (right, wrong), &client);
        }
        Ok(server)
    }

    fn keep_hardware(&self, listener: TcpListener, shown: &Shown) {
        let service = Arc::new(redfish::Service {
            fleet: Arc::clone(&self.fleet),
            acceptor: redfish::Acceptor(Arc::clone(&shown.config).into()),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
        });
        self.tasks.spawn(redfish::keep(service, listener));
    }

    fn keep(
        &self,
        appliance: &Arc<crate::SimAppliance>,
        address: SocketAddr,
        listener: TcpListener,
        (right, wrong): (Shown, Shown),
        client: &reqwest::Client,
    ) {
        let site = Arc::new(Site {
            appliance: Arc::clone(appliance),
            address,
            right,
            wrong,
            client: client.clone(),
            tasks: self.tasks.clone(),
            stop: self.stop.clone(),
        });
        self.tasks.spawn(keeper::keep(site, listener));
    }

    /// The appliances and what they saw.
    #[must_use]
    pub fn fleet(&self) -> &Arc<SimFleet> {
        &self.fleet
    }

    /// Where an appliance answers.
    #[must_use]
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        self.places.get(name).map(|(address, _)| *address)
    }

    /// Where the Redfish service of all the hardware answers.
    #[must_use]
    pub fn redfish_url(&self) -> String {
        format!("https://{}", self.hardware.0)
    }

    /// SHA-256 of that service's certificate, for pinning.
    #[must_use]
    pub fn redfish_certificate_sum(&self) -> &Sha256Hex {
        &self.hardware.1
    }

    /// The Redfish target of a node (systems `NAME-a` and `NAME-b`), trusting a CA file written by
    /// [`Self::write_ca`]. User and password are the appliance's.
    #[must_use]
    pub fn redfish(
        &self,
        name: &str,
        node: Node,
        ca: &Path,
        password: inventory::PasswordSource,
    ) -> Option<inventory::Redfish> {
        let appliance = self.fleet.appliance(name).filter(|it| it.has_node(node))?;
        let mut target = crate::sample::redfish(appliance.name(), node);
        target.url = self.redfish_url();
        target.trust = inventory::Trust::Ca(ca.display().to_string());
        if let Some(username) = appliance.spec().username {
            target.login.username = username;
        }
        target.login.password = password;
        Some(target)
    }

    /// SHA-256 of an appliance's certificate, for pinning.
    #[must_use]
    pub fn certificate_sum(&self, name: &str) -> Option<&Sha256Hex> {
        self.places.get(name).map(|(_, sum)| sum)
    }

    /// The certificate of the simulator's authority.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// Writes that certificate to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_ca(&self, path: &Path) -> Result<(), SimError> {
        let failed = |source| SimError::File { path: path.display().to_string(), source };
        std::fs::write(path, self.ca_pem()).map_err(failed)
    }

    /// An inventory entry that reaches the appliance, trusting a CA file written by
    /// [`Self::write_ca`].
    #[must_use]
    pub fn inventory_entry(
        &self,
        name: &str,
        ca: &Path,
        password: inventory::PasswordSource,
    ) -> Option<inventory::Appliance> {
        let address = self.address(name)?;
        let mut entry = self.fleet.inventory_entry(name)?;
        entry.endpoint.address = address.ip().to_string();
        entry.endpoint.port = address.port();
        entry.endpoint.trust = inventory::Trust::Ca(ca.display().to_string());
        entry.endpoint.login.password = password;
        Some(entry)
    }

    /// Ends all connections and waits until everything has stopped.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for SimServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The hardware's service: a free port.
const HARDWARE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 77, 255, 254)), 0);

/// The addresses at which an appliance's certificate is shown: its own, and those of appliances
/// that share it.
fn same_certificate(fleet: &SimFleet, spec: &ApplianceSpec, own: IpAddr) -> Vec<IpAddr> {
    let Some(text) = &spec.certificate else { return vec![own] };
    let all = fleet.appliances().enumerate();
    all.filter_map(|(index, other)| {
        let other = other.spec();
        let shares = other.certificate.as_ref() == Some(text);
        shares.then(|| other.address.unwrap_or_else(|| nth_address(index)))
    })
    .collect()
}

/// An address of its own for the appliance of this number.
fn nth_address(index: usize) -> IpAddr {
    let high = u8::try_from(index / 250 % 256).unwrap_or_default();
    let low = u8::try_from(index % 250).unwrap_or_default() + 1;
    IpAddr::V4(Ipv4Addr::new(127, 77, high, low))
}

async fn listen(name: &str, wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), SimError> {
    let failed = |source| SimError::Bind { name: name.to_owned(), address: wanted, source };
    let listener = TcpListener::bind(wanted).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
