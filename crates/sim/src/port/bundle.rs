//! Keeping a support bundle.

use std::io::Write;
use std::path::Path;

use model::failure::ApplianceError;

use super::Link;
use super::classify::Failed;
use crate::appliance::{Call, Reply};

impl Link {
    /// Downloads a bundle into a new file; no file is left when that fails.
    pub(super) async fn keep_bundle(
        &self,
        key: &str,
        into: &Path,
        limit: u64,
    ) -> Result<u64, ApplianceError> {
        let call = Call::DownloadBundle(key.to_owned());
        let failed = Failed::of(&call, &self.host);
        let Reply::BundleContent(bytes) = self.ask(call, self.settings.timeout).await? else {
            return Err(failed.malformed("it is no support bundle"));
        };
        let size = bytes.len() as u64;
        if size > limit {
            let detail = format!("the support bundle has more than {limit} bytes");
            return Err(failed.local(&detail));
        }
        let mut file = std::fs::File::create_new(into)
            .map_err(|error| failed.local(&format!("cannot make {}: {error}", into.display())))?;
        if let Err(error) = file.write_all(&bytes) {
            // What is left of it is of no use; that it stays if even this fails is the lesser harm.
            drop(std::fs::remove_file(into));
            return Err(failed.local(&format!("cannot write {}: {error}", into.display())));
        }
        Ok(size)
    }
}
