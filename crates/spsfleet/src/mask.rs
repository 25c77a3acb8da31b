//! Hides what may be a secret in text that quotes a person's files: a password written where only
//! its source may stand, and user information in addresses. Lengths stay, so that marks still fit.

/// A file's text, fit to be quoted.
pub(crate) fn file(text: &str) -> String {
    let lines = text.split_inclusive('\n').map(|line| user_information(&password(line)));
    lines.collect()
}

/// Hides `password` and everything like it in `user:password@host`.
pub(crate) fn user_information(text: &str) -> String {
    const ENDS: [char; 9] = [' ', '\t', '\n', '"', '\'', ',', '{', '}', '`'];
    let mut out = String::with_capacity(text.len());
    for token in text.split_inclusive(ENDS) {
        let begin = token.find("://").map_or(0, |at| at + 3);
        let at = token.rfind('@').filter(|at| *at > begin);
        let colon = token.get(begin..).and_then(|rest| rest.find(':')).map(|at| begin + at + 1);
        match colon.zip(at).filter(|(colon, at)| colon < at) {
            Some((colon, at)) => {
                out.push_str(&token[..colon]);
                stars(&token[colon..at], &mut out);
                out.push_str(&token[at..]);
            }
            None => out.push_str(token),
        }
    }
    out
}

/// Hides a scalar behind `password:`; a map there names a source and holds no secret.
fn password(line: &str) -> String {
    const KEY: &str = "password";
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(KEY) {
        let (before, found) = rest.split_at(at + KEY.len());
        out.push_str(before);
        let value = found.trim_start_matches(['"', '\'', ' ', '\t']);
        let Some(value) = value.strip_prefix(':') else {
            rest = found;
            continue;
        };
        let value = value.trim_start_matches([' ', '\t']);
        out.push_str(&found[..found.len() - value.len()]);
        let end =
            if value.starts_with('{') { 0 } else { value.find(['\n', '}']).unwrap_or(value.len()) };
        stars(&value[..end], &mut out);
        rest = &value[end..];
    }
    out.push_str(rest);
    out
}

fn stars(secret: &str, out: &mut String) {
    out.extend(std::iter::repeat_n('*', secret.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_lengths_kept() {
        for (text, quoted) in [
            (
                "login: { username: admin, password: hunter2 }\n",
                "login: { username: admin, password: ********}\n",
            ),
            ("password: { file: /etc/pw }\n", "password: { file: /etc/pw }\n"),
            ("  password: \"p\u{e4}ss\"\n", "  password: *******\n"),
            ("address: admin:hunter2@10.0.0.1\n", "address: admin:*******@10.0.0.1\n"),
            ("fetch: https://u:p@repo.example/x.iso\n", "fetch: https://u:*@repo.example/x.iso\n"),
            (
                "fetch: https://repo.example:8443/x.iso\n",
                "fetch: https://repo.example:8443/x.iso\n",
            ),
        ] {
            assert_eq!(file(text), quoted);
            assert_eq!(file(text).len(), text.len());
        }
    }
}
