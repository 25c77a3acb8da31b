//! How something is reached: logins, passwords, trust, commands, Redfish.

use model::fleet::{Login, PasswordSource, PowerTarget, Reboot, Redfish, Trust};

use crate::reader::{Bad, Map, Reader};
use crate::source::{At, Field, Span};
use crate::tree::{Node, Value};
use crate::values;

/// A login as far as one place of the file gives it: an appliance's keys go before the default's.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RawLogin {
    pub(crate) username: Field<String>,
    pub(crate) method: Field<String>,
    pub(crate) password: Field<PasswordSource>,
}

/// Reads `login`.
pub(crate) fn login(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<RawLogin>> {
    let map = reader.map(node, "`login`", &["username", "method", "password"])?;
    let username = map.field(reader, "username", |r, n| r.text(n, "`username`"));
    let method = map.field(reader, "method", |r, n| r.text(n, "`method`"));
    let password = map.field(reader, "password", password);
    Some(At { value: RawLogin { username, method, password }, span: map.span() })
}

/// Reads a password's source; its span is the place of what names it.
pub(crate) fn password(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<PasswordSource>> {
    if matches!(node.value, Value::Text(_) | Value::Plain) {
        let span = reader.span(node);
        reader
            .fault("password-in-file", span, "a password itself never stands in this file")
            .help("say where it is: {credential: NAME}, {file: PATH}, {env: VARIABLE} or {command: [PROGRAM]}");
        return None;
    }
    let map = reader.map(node, "`password`", &["credential", "file", "env", "command"])?;
    let folder = reader.source.folder.as_str();
    let (key, node) = one_of(reader, &map, "`password`")?;
    match key {
        "credential" => reader
            .parse(node, "`credential`", values::credential)
            .map(|at| at.map(PasswordSource::Credential)),
        "file" => reader
            .parse(node, "`file`", |text| values::path(folder, text))
            .map(|at| at.map(PasswordSource::File)),
        "env" => {
            reader.parse(node, "`env`", values::variable).map(|at| at.map(PasswordSource::Env))
        }
        _ => reader
            .words(node, "`command`")
            .map(|at| at.map(|words| PasswordSource::Command(values::program(folder, words)))),
    }
}

/// Reads `tls`; its span is the place of the CA file or the pin.
pub(crate) fn tls(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<Trust>> {
    let map = reader.map(node, "`tls`", &["ca", "pin_sha256", "system", "insecure"])?;
    let folder = reader.source.folder.as_str();
    let (key, node) = one_of(reader, &map, "`tls`")?;
    match key {
        "ca" => reader
            .parse(node, "`ca`", |text| values::path(folder, text))
            .map(|at| at.map(Trust::Ca)),
        "pin_sha256" => {
            reader.parse(node, "`pin_sha256`", values::sha256).map(|at| at.map(Trust::Pin))
        }
        "system" => only_true(reader, node, "`system`").map(|at| at.map(|()| Trust::System)),
        _ => only_true(reader, node, "`insecure`").map(|at| at.map(|()| Trust::Insecure)),
    }
}

/// What acts on hardware, and the places of the password and the CA file of its Redfish service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Switch<T> {
    pub(crate) target: T,
    pub(crate) password: Option<Span>,
    pub(crate) trust: Option<Span>,
}

impl<T> Switch<T> {
    fn plain(target: T) -> Self {
        Self { target, password: None, trust: None }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Switch<U> {
        Switch { target: change(self.target), password: self.password, trust: self.trust }
    }
}

/// Reads `reboot`.
pub(crate) fn reboot(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<Switch<Reboot>>> {
    let span = reader.span(node);
    if !matches!(node.value, Value::Map(_)) {
        return reader.parse(node, "`reboot`", |text| match text {
            "operator" => Ok(Switch::plain(Reboot::Operator)),
            _ => Err(Bad::new("unknown-word", format!("`{text}` is not known"))
                .help("operator, {command: [PROGRAM]} or {redfish: {…}}")),
        });
    }
    let map = reader.map(node, "`reboot`", &["command", "redfish"])?;
    let (key, node) = one_of(reader, &map, "`reboot`")?;
    let value = match key {
        "command" => Switch::plain(Reboot::Command(words(reader, node, "`command`")?)),
        _ => redfish(reader, node)?.map(Reboot::Redfish),
    };
    Some(At { value, span })
}

/// Reads a power switch.
pub(crate) fn power(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<At<Switch<PowerTarget>>> {
    let map = reader.map(node, "`secondary_power`", &["command", "redfish"])?;
    let span = map.span();
    let (key, node) = one_of(reader, &map, "`secondary_power`")?;
    let value = if key == "redfish" {
        redfish(reader, node)?.map(PowerTarget::Redfish)
    } else {
        let map = reader.map(node, "`command` of a power switch", &["on", "off", "state"])?;
        let mut part = |key| {
            let node = map.require(reader, key)?;
            words(reader, node, &format!("`{key}`"))
        };
        let (on, off, state) = (part("on"), part("off"), part("state"));
        Switch::plain(PowerTarget::Command { on: on?, off: off?, state: state? })
    };
    Some(At { value, span })
}

/// Reads `{command: [program, argument…]}`.
pub(crate) fn command(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    what: &'static str,
) -> Option<At<Vec<String>>> {
    let map = reader.map(node, what, &["command"])?;
    let node = map.require(reader, "command")?;
    words(reader, node, "`command`").map(|value| At { value, span: map.span() })
}

/// A program and its arguments.
pub(crate) fn words(reader: &mut Reader<'_>, node: &Node<'_>, what: &str) -> Option<Vec<String>> {
    let folder = reader.source.folder.as_str();
    reader.words(node, what).map(|at| values::program(folder, at.value))
}

fn redfish(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Switch<Redfish>> {
    let keys = &["url", "system", "username", "password", "tls"];
    let map = reader.map(node, "`redfish`", keys)?;
    let url = map.require(reader, "url").and_then(|n| reader.parse(n, "`url`", values::url));
    let system = map.require(reader, "system").and_then(|n| reader.text(n, "`system`"));
    let username = map.require(reader, "username").and_then(|n| reader.text(n, "`username`"));
    let password = map.require(reader, "password").and_then(|n| password(reader, n));
    let trust = map.field(reader, "tls", tls);
    if trust.is_faulty() {
        return None;
    }
    let password = password?;
    let url = url?;
    if url.value.starts_with("http://") && trust.value() != Some(&Trust::Insecure) {
        let why = "nobody is proven to be who it says over `http://`";
        reader
            .fault("redfish-in-clear", url.span, why)
            .label("not encrypted")
            .help("use https://, or say `tls: {insecure: true}` in plain words");
        return None;
    }
    let target = Redfish {
        url: url.value,
        system: system?.value,
        login: Login { username: username?.value, method: None, password: password.value },
        trust: trust.value().cloned().unwrap_or(Trust::System),
    };
    Some(Switch { target, password: Some(password.span), trust: trust.span() })
}

/// The one key of a map that must have exactly one of its keys.
pub(crate) fn one_of<'n, 't>(
    reader: &mut Reader<'_>,
    map: &Map<'n, 't>,
    what: &str,
) -> Option<(&'static str, &'n Node<'t>)> {
    let mut given = map.given();
    let Some(first) = given.next() else {
        let message = format!("{what} needs one of: {}", map.keys().join(", "));
        reader.fault("missing-key", map.span(), message).label("none of them is given");
        return None;
    };
    if let Some(second) = given.next() {
        let (first, second) = ((first.0, reader.span(first.1)), (second.0, reader.span(second.1)));
        let message = format!("{what} takes only one of `{}` and `{}`", first.0, second.0);
        reader
            .fault("one-of", second.1, message)
            .label("one too many")
            .related(first.1, "already given here");
        return None;
    }
    Some(first)
}

fn only_true(reader: &mut Reader<'_>, node: &Node<'_>, what: &str) -> Option<At<()>> {
    let flag = reader.flag(node, what)?;
    if flag.value {
        return Some(flag.map(|_| ()));
    }
    reader
        .fault("wrong-shape", flag.span, format!("{what} can only be true"))
        .help("leave `tls` out, or say how the certificate is proven");
    None
}
