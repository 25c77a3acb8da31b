//! Where passwords come from.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use model::fleet::PasswordSource;
use sps::check_source;

fn write(path: &Path, bytes: &[u8], mode: u32) -> PasswordSource {
    std::fs::write(path, bytes).expect("written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a mode");
    PasswordSource::File(path.to_str().expect("text").to_owned())
}

fn wrong(source: &PasswordSource, directory: Option<&Path>) -> String {
    let error = check_source(source, directory).expect_err("not readable");
    model::Chain(&error).to_string()
}

#[test]
fn a_password_file_must_be_ours_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("password");
    for mode in [0o600, 0o400] {
        check_source(&write(&path, b"pw\n", mode), None).expect("readable");
        std::fs::remove_file(&path).expect("removed");
    }
    for mode in [0o640, 0o604, 0o660, 0o622, 0o601] {
        let text = wrong(&write(&path, b"pw\n", mode), None);
        assert!(text.contains(&format!("chmod 600 {}", path.display())), "{text}");
        assert!(text.contains(&format!("{mode:03o}")), "{text}");
    }
    assert!(
        wrong(&PasswordSource::File(dir.path().display().to_string()), None).contains("regular")
    );
    let gone = PasswordSource::File(dir.path().join("gone").display().to_string());
    assert!(wrong(&gone, None).contains("No such file"));
}

#[test]
fn what_cannot_be_a_password_is_refused_before_it_costs_a_login() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("password");
    for (bytes, reason) in [
        (&b""[..], "is empty"),
        (b"\n", "is empty"),
        (b"\r\n", "is empty"),
        (b"one\ntwo\n", "more than one line"),
        (b"pw\n\n", "more than one line"),
        (b"a\0b", "control"),
        (b"\xff\xfe", "UTF-8"),
        (&[b'a'; 70_000], "64 KiB"),
    ] {
        let text = wrong(&write(&path, bytes, 0o600), None);
        assert!(text.contains(reason), "{text}");
        assert!(!text.contains("two") && !text.contains("pw\n"), "{text}");
    }
    check_source(&write(&path, "pä ss".as_bytes(), 0o600), None).expect("readable");
}

#[test]
fn a_credential_is_a_plain_name_in_systemds_directory() {
    let dir = tempfile::tempdir().expect("a directory");
    let named = |name: &str| PasswordSource::Credential(name.to_owned());
    assert!(wrong(&named("sps"), None).contains("LoadCredential"));
    write(&dir.path().join("sps"), b"pw", 0o440);
    check_source(&named("sps"), Some(dir.path())).expect("readable");
    assert!(wrong(&named("other"), Some(dir.path())).contains("other"));
    for name in ["", ".", "..", "../sps", "/etc/passwd"] {
        assert!(wrong(&named(name), Some(dir.path())).contains("plain file name"), "{name}");
    }
}

#[test]
fn a_variable_and_a_command_are_looked_for() {
    check_source(&PasswordSource::Env("PATH".to_owned()), None).expect("readable");
    let unset = PasswordSource::Env("SPSFLEET_TEST_UNSET".to_owned());
    assert!(wrong(&unset, None).contains("SPSFLEET_TEST_UNSET"));
    let command = |word: &str| PasswordSource::Command(vec![word.to_owned(), "x".to_owned()]);
    check_source(&command("sh"), None).expect("on the path");
    check_source(&command("/bin/sh"), None).expect("there");
    for word in ["no-such-program-here", "/etc/passwd", "/etc", ""] {
        assert!(wrong(&command(word), None).contains(word), "{word}");
    }
}

mod commands {
    use model::failure::FailureClass;
    use model::ports::Appliance;

    use crate::support::pair;

    #[tokio::test]
    async fn a_command_that_fails_sends_nothing() {
        let (caller, server, client) = pair().await;
        let set = |code, stdout: &str, stderr: &str| {
            let mut output = caller.runner.0.lock().expect("no panic");
            (output.code, output.stdout, output.stderr) = (code, stdout.into(), stderr.into());
        };
        for (code, stdout, stderr, reason) in [
            (Some(3), "pw", "+ echo pw\n", "exit code 3"),
            (None, "pw", "", "signal"),
            (Some(0), "", "", "is empty"),
            (Some(0), "\npw\n", "", "is empty"),
        ] {
            set(code, stdout, stderr);
            let error = client.info().await.expect_err("no password");
            assert_eq!(error.class, FailureClass::CredentialsUnavailable);
            assert!(error.detail.contains(reason), "{error}");
            assert!(!error.detail.contains("pw"), "{error}");
        }
        assert!(server.scene.heard().is_empty());
    }

    #[tokio::test]
    async fn a_command_sees_whose_password_is_asked_for() {
        let (caller, _server, client) = pair().await;
        client.info().await.expect("logged in");
        let seen = caller.runner.1.lock().expect("no panic").clone();
        let seen: Vec<_> = seen.iter().map(|(name, is)| (name.as_str(), is.as_str())).collect();
        let wanted = [
            ("SPSFLEET_APPLIANCE", "ams-1"),
            ("SPSFLEET_ADDRESS", "127.0.0.1"),
            ("SPSFLEET_SITE", "default"),
        ];
        assert_eq!(seen, wanted);
    }
}
