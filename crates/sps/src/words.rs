//! Other people's words, made fit to stand in our messages: short, on one line, without control
//! characters and without secrets.

/// One line of at most `most` characters; what is cut off is marked with `…`.
pub(crate) fn tame(text: &str, most: usize) -> String {
    let line = text.split(char::is_whitespace).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    cut(line.chars().filter(|c| is_plain(*c)), most)
}

/// As [`tame`], with line ends kept.
pub(crate) fn tame_lines(text: &str, most: usize) -> String {
    cut(text.trim().chars().filter(|c| *c == '\n' || is_plain(*c)), most)
}

fn cut(mut chars: impl Iterator<Item = char>, most: usize) -> String {
    let mut short: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    short
}

/// Neither a control character nor one that turns or hides text on a terminal.
fn is_plain(c: char) -> bool {
    !c.is_control()
        && !matches!(
            c,
            '\u{00ad}'
                | '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text without the user information of the URLs in it.
pub(crate) fn hide_user_info(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let ends = |c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace();
        let authority = after.find(ends).unwrap_or(after.len());
        let hidden = after.get(..authority).and_then(|a| a.rfind('@')).map_or(0, |at| at + 1);
        rest = after.get(hidden..).unwrap_or_default();
    }
    shown.push_str(rest);
    shown
}

/// The text with each of these secrets replaced. Very short ones are left: they would not be
/// recognised as secrets, but the text would no longer be readable.
pub(crate) fn scrub(text: &str, secrets: &[&str]) -> String {
    secrets
        .iter()
        .filter(|secret| secret.len() >= 4)
        .fold(text.to_owned(), |text, secret| text.replace(secret, "(hidden)"))
}

/// The innermost sayings of an error chain, outermost left out when it only repeats the next.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static), most: usize) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !said.iter().any(|before| before.contains(&text)) {
            said.push(text);
        }
        next = error.source();
    }
    tame(&hide_user_info(&said.join(": ")), most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_plain_line() {
        assert_eq!(tame(" a\r\nb\t\u{1b}[31mc \u{202e}d ", 80), "a b [31mc d");
        assert_eq!(tame("abcdef", 3), "abc…");
        assert_eq!(tame_lines("HA check started\nHA check failed\u{7}\n", 80).lines().count(), 2);
    }

    #[test]
    fn user_information_is_hidden() {
        for (text, shown) in [
            ("http://u:p@h/x?a=b@c", "http://h/x?a=b@c"),
            ("see 'https://u@h:1' and ftp://a:b@c", "see 'https://h:1' and ftp://c"),
            ("https://h/a@b", "https://h/a@b"),
            ("a@b", "a@b"),
        ] {
            assert_eq!(hide_user_info(text), shown);
        }
    }

    #[test]
    fn secrets_are_replaced() {
        assert_eq!(scrub("no hunter2 here", &["hunter2", ""]), "no (hidden) here");
    }
}
