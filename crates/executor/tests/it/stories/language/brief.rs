//! What stories say briefly, written out in full.

use sim::SimImage;

/// The size of every image.
pub(in crate::stories) const SIZE: u64 = 1_500_000_000;

/// The image of a version.
pub(in crate::stories) fn image(version: &str) -> SimImage {
    SimImage::described(version, SIZE)
}

/// Where the image of a version is fetched from.
pub(in crate::stories) fn url(version: &str) -> String {
    format!("https://repo.example/sps-{version}.iso")
}

/// Replaces what is said briefly. Nothing before it on its line moves.
pub(super) fn expanded(text: &str) -> String {
    let mut done = String::new();
    for line in text.lines() {
        let mut line = line.to_owned();
        while let Some((before, version, after)) = between(&line, "{version: ", "}") {
            if !before.ends_with("- ") {
                break;
            }
            let (sum, url) = (image(&version).sha256, url(&version));
            line = format!("{before}{{ version: {version}, sha256: {sum}, fetch: '{url}'}}{after}");
        }
        while let Some((before, version, after)) = between(&line, "$sha(", ")") {
            line = format!("{before}{}{after}", image(&version).sha256);
        }
        while let Some((before, version, after)) = between(&line, "$url(", ")") {
            line = format!("{before}{}{after}", url(&version));
        }
        while let Some((before, node, after)) = between(&line, "$bmc(", ")") {
            line = format!(
                "{before}{{redfish: {{url: 'https://{node}.bmc.example', system: '1', \
                 username: fleet, password: {{credential: bmc}}}}}}{after}"
            );
        }
        done.push_str(&line);
        done.push('\n');
    }
    done
}

fn between(line: &str, open: &str, close: &str) -> Option<(String, String, String)> {
    let (before, rest) = line.split_once(open)?;
    let (inside, after) = rest.split_once(close)?;
    Some((before.to_owned(), inside.to_owned(), after.to_owned()))
}

fn has(text: &str, key: &str) -> bool {
    text.lines().any(|line| line.starts_with(&format!("{key}:")))
}

/// What is missing comes last, so that faults keep their lines.
pub(super) fn fleet_text(text: &str) -> String {
    let mut done = String::new();
    for line in text.lines() {
        let brief = line.trim_start().strip_prefix("- {name: ").zip(line.strip_suffix('}'));
        match brief.filter(|_| !line.contains("address:")) {
            Some((rest, cut)) => {
                let name = rest.split([',', '}']).next().unwrap_or_default();
                done.push_str(&format!("{cut}, address: {name}.example}}\n"));
            }
            None => done.push_str(&format!("{line}\n")),
        }
    }
    if !has(text, "version") {
        done.push_str("version: 1\n");
    }
    if !has(text, "defaults") {
        done.push_str("defaults: {login: {username: fleet, password: {credential: sps}}}\n");
    }
    done
}

pub(super) fn rollout_text(name: &str, text: &str) -> String {
    let mut done = text.to_owned();
    let mut add = |key: &str, value: String| {
        if !has(text, key) {
            done.push_str(&format!("{key}: {value}\n"));
        }
    };
    add("version", "1".to_owned());
    add("name", name.to_owned());
    let (sum, url) = (image("7.5.1").sha256, url("7.5.1"));
    add("firmware", format!("{{version: 7.5.1, sha256: {sum}, fetch: '{url}'}}"));
    add("message", "CHG1".to_owned());
    add("select", "{all: true}".to_owned());
    done
}
