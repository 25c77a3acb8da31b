//! Subjects of the suite: in-process, or a real client over HTTPS.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use model::fleet::PasswordSource;
use model::ports::Connector;
use model::rollout::Image;

use super::{Stage, Subject, Surroundings, VERSION, image_bytes};
use crate::clock::TokioClock;
use crate::faults::FaultPlan;
use crate::fleet::SimFleet;
use crate::https::images::{ImageServer, ImageShelf};
use crate::spec::ApplianceSpec;
use crate::{SimImage, SimServer};

pub(super) const WRONG: &str = "not the password";

/// Writes the image once for all subjects.
fn write_image(dir: &Path) -> (Image, SimImage, Vec<u8>) {
    let bytes = image_bytes();
    let path = dir.join("sps.iso");
    std::fs::write(&path, &bytes).expect("the image is written");
    let image = Image { path: path.display().to_string(), size: bytes.len() as u64 };
    (image, SimImage::of_bytes(VERSION, &bytes), bytes)
}

/// Sets up in-process appliances with the client of this crate.
#[derive(Debug)]
pub struct InProcessStage {
    dir: PathBuf,
}

impl InProcessStage {
    /// Uses `dir` for the image's file.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }
}

impl Stage for InProcessStage {
    fn subject(
        &self,
        mut spec: ApplianceSpec,
        plan: FaultPlan,
        surroundings: Surroundings,
    ) -> BoxFuture<'_, Subject> {
        Box::pin(async move {
            let (image, known, _) = write_image(&self.dir);
            let url = "https://images.sim.invalid/sps.iso".to_owned();
            if surroundings.wrong_password {
                spec.client_password = Some(WRONG.to_owned());
            }
            let name = spec.name.clone();
            let fleet = SimFleet::builder()
                .clock(Arc::new(TokioClock::real()))
                .appliance(spec)
                .faults(plan)
                .image(&url, known.clone())
                .build();
            let entry = fleet.inventory_entry(name.as_str()).expect("an entry");
            let connector = fleet.connector();
            Subject {
                port: connector.connect(&entry, surroundings.throttle, surroundings.logins),
                sim: fleet.appliance(name.as_str()).expect("it is there"),
                leaf: fleet.appliance(name.as_str()).expect("it is there").leaf(),
                dir: self.dir.clone(),
                clock: Arc::clone(fleet.clock()),
                fleet,
                url,
                image,
                sha256: known.sha256,
                keep: Box::new(()),
            }
        })
    }
}

/// Sets up appliances over HTTPS, and a client that somebody else makes.
pub struct OverHttps {
    dir: PathBuf,
    connector: Arc<dyn Connector>,
}

impl OverHttps {
    /// Uses `dir` for the CA's file, the password's file (mode 600) and the image.
    #[must_use]
    pub fn new(dir: &Path, connector: Arc<dyn Connector>) -> Self {
        Self { dir: dir.to_owned(), connector }
    }
}

impl Stage for OverHttps {
    fn subject(
        &self,
        spec: ApplianceSpec,
        plan: FaultPlan,
        surroundings: Surroundings,
    ) -> BoxFuture<'_, Subject> {
        Box::pin(async move {
            let (image, known, bytes) = write_image(&self.dir);
            let images = ImageServer::start(ImageShelf::default().bytes("sps.iso", bytes))
                .await
                .expect("an image server");
            let password = if surroundings.wrong_password { WRONG } else { &spec.password };
            // A file of its own for each kind, so that nothing remembered of one meets the other.
            let secret = self.dir.join(if surroundings.wrong_password { "wrong" } else { "right" });
            write_secret(&secret, password);
            let name = spec.name.clone();
            let builder = SimFleet::builder()
                .clock(Arc::new(TokioClock::real()))
                .appliance(spec)
                .faults(plan);
            let server = SimServer::start(builder).await.expect("a simulator");
            // Each server has its own authority, and a client may keep what it read of a file.
            let port = server.address(name.as_str()).expect("an address").port();
            let ca = self.dir.join(format!("ca-{port}-{}.pem", server.ca_pem().len()));
            server.write_ca(&ca).expect("the CA is written");
            let source = PasswordSource::File(secret.display().to_string());
            let entry = server.inventory_entry(name.as_str(), &ca, source).expect("an entry");
            let fleet = Arc::clone(server.fleet());
            Subject {
                port: self.connector.connect(&entry, surroundings.throttle, surroundings.logins),
                sim: fleet.appliance(name.as_str()).expect("it is there"),
                leaf: server.certificate_sum(name.as_str()).expect("a sum").clone(),
                dir: self.dir.clone(),
                clock: Arc::clone(fleet.clock()),
                fleet,
                url: images.url("sps.iso"),
                image,
                sha256: known.sha256,
                keep: Box::new((server, images)),
            }
        })
    }
}

pub(super) fn write_secret(path: &Path, password: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(path).expect("a file");
    file.write_all(password.as_bytes()).expect("the password is written");
}
