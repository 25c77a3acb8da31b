//! Where requests go.

use reqwest::Url;
use rustls::pki_types::ServerName;

use crate::words;

/// Where a service begins, and the name that its certificate is checked for.
pub(crate) type Base = (Url, ServerName<'static>);

/// The URL of the API.
pub(crate) fn base(authority: &str) -> Result<Base, String> {
    let bad = || format!("`{}` is not an address", words::tame(authority, 80));
    let url = Url::parse(&format!("https://{authority}/")).map_err(|_| bad())?;
    if !url.username().is_empty() || url.password().is_some() || url.path() != "/" {
        return Err(bad());
    }
    let name = server_name(&url).ok_or_else(bad)?;
    Ok((url, name))
}

/// The name that a certificate is checked for.
pub(crate) fn server_name(url: &Url) -> Option<ServerName<'static>> {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host.to_owned()).ok()
}

/// The URL of a path behind a base, with at most one parameter.
pub(crate) fn locate(
    base: &Url,
    path: &[&str],
    query: Option<(&'static str, &str)>,
) -> Result<Url, String> {
    let mut url = base.clone();
    // A key of the appliance must stay one part of the path.
    let bad = |part: &&&str| part.is_empty() || **part == "." || **part == ".." || part.len() > 200;
    if let Some(part) = path.iter().find(bad) {
        return Err(format!("`{}` cannot stand in a path", words::tame(part, 80)));
    }
    if let Ok(mut parts) = url.path_segments_mut() {
        parts.pop_if_empty().extend(path);
    }
    if let Some((name, value)) = query {
        url.query_pairs_mut().append_pair(name, value);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_urls() {
        for (authority, url, host) in [
            ("10.0.0.1", "https://10.0.0.1/", "10.0.0.1"),
            ("[fd00::1]:8443", "https://[fd00::1]:8443/", "fd00::1"),
            ("SPS.example:444", "https://sps.example:444/", "sps.example"),
        ] {
            let (base, name) = base(authority).expect("a base");
            assert_eq!((base.as_str(), &*name.to_str()), (url, host));
        }
        for bad in ["u:p@h", "h/x", "", "a b", "[fe80::1%eth0]"] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_stays_one_part_of_the_path() {
        let (base, _) = base("h").expect("a base");
        let url = |key| locate(&base, &["api", "slots", key], None);
        assert_eq!(url("a/../b?c#d").expect("a URL").path(), "/api/slots/a%2F..%2Fb%3Fc%23d");
        for bad in ["", ".", ".."] {
            assert!(url(bad).is_err());
        }
        let login = locate(&base, &["api"], Some(("login_method", "a&b"))).expect("a URL");
        assert_eq!(login.query(), Some("login_method=a%26b"));
    }
}
