//! Single values: addresses, ports, URLs, sums, paths, zones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::tz::TimeZoneDatabase;
use model::{FirmwareVersion, Sha256Hex};

use crate::near::nearest;
use crate::reader::Bad;

/// An appliance's address in one spelling: IPv4, IPv6 without brackets, or a DNS name.
pub(crate) fn address(text: &str) -> Result<String, Bad> {
    let bad = |message: String| Bad::new("bad-address", message);
    if text.contains("://") {
        return Err(bad(format!("`{text}` is a URL")).help("give the host alone, no scheme"));
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Err(bad(format!("`{text}` has brackets")).help(format!("write `{inner}`")));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return usable(address.into(), text);
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return usable(address.into(), text);
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && !port.is_empty()
        && port.bytes().all(|b| b.is_ascii_digit())
        && (host.ends_with(']') || !host.contains(':'))
    {
        let host = host.trim_matches(['[', ']']);
        return Err(bad(format!("`{text}` has a port in it"))
            .help(format!("write `address: {host}` and `port: {port}`")));
    }
    if text.contains('%') {
        return Err(bad(format!("`{text}` has a zone; an address of one link is of no use here")));
    }
    dns_name(text)
}

fn usable(address: IpAddr, text: &str) -> Result<String, Bad> {
    if address.is_unspecified() || address.is_multicast() {
        return Err(Bad::new("bad-address", format!("`{text}` is no address of one appliance")));
    }
    Ok(address.to_string())
}

fn dns_name(text: &str) -> Result<String, Bad> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric_end =
        name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    if numeric_end || name.len() > 253 || !name.split('.').all(label_ok) {
        return Err(Bad::new(
            "bad-address",
            format!("`{text}` is neither an IPv4 address, nor an IPv6 address, nor a DNS name"),
        ));
    }
    Ok(name)
}

/// A TCP port.
pub(crate) fn port(text: &str) -> Result<u16, Bad> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(Bad::new("bad-port", format!("`{text}` is not a port; ports are 1 to 65535"))),
    }
}

/// A URL with http or https, a host, and no user information.
pub(crate) fn url(text: &str) -> Result<String, Bad> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    // Nothing of the text is repeated before it is known to hold no password.
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(Bad::new("url-user", "a user name or password in a URL is refused")
            .help("a URL is stored, shown and sent to the appliances"));
    }
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        let message = format!("`{text}` does not begin with http:// or https://");
        return Err(Bad::new("bad-url", message));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Bad::new("bad-url", "there is white space in this URL"));
    }
    if path.contains('#') {
        return Err(Bad::new("bad-url", format!("`{text}` has a fragment, which is never sent"))
            .help("leave out `#` and what follows"));
    }
    let (host, port_text) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if let Some(text) = port_text {
        port(text)?;
    }
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => Ok(text.to_owned()),
        _ if host.parse::<Ipv4Addr>().is_ok() || dns_name(host).is_ok() => Ok(text.to_owned()),
        _ => Err(Bad::new("bad-url", format!("`{text}` has no usable host"))),
    }
}

/// A SHA-256 sum.
pub(crate) fn sha256(text: &str) -> Result<Sha256Hex, Bad> {
    Sha256Hex::parse(text).map_err(|error| Bad::new("bad-sha256", error.to_string()))
}

/// A firmware version.
pub(crate) fn version(text: &str) -> Result<FirmwareVersion, Bad> {
    FirmwareVersion::parse(text).map_err(|error| Bad::new("bad-version", error.to_string()))
}

/// The name of a systemd credential: a file name, no path.
pub(crate) fn credential(text: &str) -> Result<String, Bad> {
    let plain = !text.is_empty() && !text.contains(['/', '\0']) && text != "." && text != "..";
    if plain {
        Ok(text.to_owned())
    } else {
        Err(Bad::new("bad-credential", format!("`{text}` is no name of a credential"))
            .help("a plain file name in $CREDENTIALS_DIRECTORY; for a path use `file`"))
    }
}

/// The name of an environment variable.
pub(crate) fn variable(text: &str) -> Result<String, Bad> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        Ok(text.to_owned())
    } else {
        Err(Bad::new("bad-variable", format!("`{text}` is no name of an environment variable")))
    }
}

/// A path, made absolute from the folder of the file that it stands in.
pub(crate) fn path(folder: &str, text: &str) -> Result<String, Bad> {
    if text.trim().is_empty() || text.contains('\0') {
        return Err(Bad::new("empty-text", "this is no path"));
    }
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    let relative = text.strip_prefix("./").unwrap_or(text);
    Ok(if folder.is_empty() {
        relative.to_owned()
    } else {
        format!("{}/{relative}", folder.trim_end_matches('/'))
    })
}

/// The words of a command; a program given with a relative path starts at the file's folder.
pub(crate) fn program(folder: &str, mut words: Vec<String>) -> Vec<String> {
    if let Some(first) = words.first_mut()
        && first.contains('/')
        && let Ok(absolute) = path(folder, first)
    {
        *first = absolute;
    }
    words
}

/// The name of a time zone. Names are looked up in the copy of the zone database that is built
/// in: nothing is read here.
pub(crate) fn zone(text: &str) -> Result<String, Bad> {
    let zones = TimeZoneDatabase::bundled();
    if let Ok(zone) = zones.get(text)
        && zone.iana_name() == Some(text)
    {
        return Ok(text.to_owned());
    }
    let names: Vec<String> = zones.available().map(|name| name.as_str().to_owned()).collect();
    let bad = Bad::new("bad-zone", format!("`{text}` is not a time zone"));
    Err(match nearest(text, names.iter().map(String::as_str)) {
        Some(near) => bad.help(format!("did you mean `{near}`?")),
        None => bad.help("a name of the zone database, such as Europe/Amsterdam"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code<T>(read: Result<T, Bad>) -> &'static str {
        read.map_or_else(|bad| bad.code, |_| "good")
    }

    #[test]
    fn addresses_have_one_spelling() {
        for (text, spelt) in [
            ("10.10.0.11", "10.10.0.11"),
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::1", "::1"),
            ("SPS-1.Example.", "sps-1.example"),
            ("sps_1", "sps_1"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(address(text).as_deref(), Ok(spelt), "{text}");
        }
        for text in [
            "",
            "https://sps-1",
            "10.10.0.300",
            "10.10.0",
            "1",
            "sps 1",
            "sps-1:443",
            "[::1]",
            "[::1]:443",
            "10.0.0.1:8443",
            "fe80::1%eth0",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "-a",
            "a..b",
            "a/b",
            "user@host",
            ":::",
        ] {
            assert_eq!(code(address(text)), "bad-address", "{text}");
        }
        let port = address("[2001:db8::1]:8443").map_err(|bad| bad.help);
        assert_eq!(port, Err(Some("write `address: 2001:db8::1` and `port: 8443`".to_owned())));
    }

    #[test]
    fn ports_are_numbers_from_1_to_65535() {
        assert_eq!(port("443"), Ok(443));
        for text in ["0", "65536", "-1", "https", "", "44.3"] {
            assert_eq!(code(port(text)), "bad-port", "{text}");
        }
    }

    #[test]
    fn urls_need_a_scheme_and_a_host_and_no_user() {
        for text in [
            "https://repo.example/sps.iso",
            "http://10.0.0.1:8080/a?b=c@d",
            "HTTPS://[2001:db8::1]/x",
            "https://[2001:db8::1]:8443/x",
        ] {
            assert_eq!(url(text).as_deref(), Ok(text));
        }
        for (text, wrong) in [
            ("ftp://repo.example/x", "bad-url"),
            ("repo.example/x", "bad-url"),
            ("https:///x", "bad-url"),
            ("https://", "bad-url"),
            ("https://a b/x", "bad-url"),
            ("https://repo.example/x y", "bad-url"),
            ("https://repo.example/x#y", "bad-url"),
            ("https://repo.example:0/x", "bad-port"),
            ("https://[zz]/x", "bad-url"),
            ("https://me:secret@repo.example/x", "url-user"),
            ("https://me@repo.example", "url-user"),
            ("ftp://me:secret@repo.example", "url-user"),
        ] {
            assert_eq!(code(url(text)), wrong, "{text}");
        }
        let bad = url("https://me:hunter2@repo.example/x").expect_err("a password");
        assert!(!format!("{bad:?}").contains("hunter2"));
    }

    #[test]
    fn relative_paths_start_at_the_files_folder() {
        assert_eq!(path("/etc/spsfleet", "ca.pem").as_deref(), Ok("/etc/spsfleet/ca.pem"));
        assert_eq!(path("/etc/spsfleet/", "./ca.pem").as_deref(), Ok("/etc/spsfleet/ca.pem"));
        assert_eq!(path("/etc/spsfleet", "/x/ca.pem").as_deref(), Ok("/x/ca.pem"));
        assert_eq!(path("", "ca.pem").as_deref(), Ok("ca.pem"));
        assert_eq!(code(path("/etc", " ")), "empty-text");
        let words = |first: &str| program("/etc", vec![first.to_owned(), "./x".to_owned()]);
        assert_eq!(words("bin/reboot"), ["/etc/bin/reboot", "./x"]);
        assert_eq!(words("reboot"), ["reboot", "./x"]);
        assert_eq!(words("/bin/reboot"), ["/bin/reboot", "./x"]);
    }

    #[test]
    fn zones_are_known_by_name() {
        for good in ["Europe/Amsterdam", "America/New_York", "UTC"] {
            assert_eq!(zone(good).as_deref(), Ok(good));
        }
        let help = |text: &str| zone(text).expect_err("no zone").help.unwrap_or_default();
        assert_eq!(help("Europe/Amsterdm"), "did you mean `Europe/Amsterdam`?");
        assert_eq!(help("europe/amsterdam"), "did you mean `Europe/Amsterdam`?");
        assert!(help("+02:00").contains("zone database"));
    }

    #[test]
    fn credentials_and_variables_are_plain_words() {
        assert_eq!(code(credential("sps-password")), "good");
        for text in ["", "a/b", "..", "/etc/shadow"] {
            assert_eq!(code(credential(text)), "bad-credential", "{text}");
        }
        assert_eq!(code(variable("SPS_PASSWORD")), "good");
        for text in ["", "1A", "A-B", "A=B"] {
            assert_eq!(code(variable(text)), "bad-variable", "{text}");
        }
    }
}
