//! Who a user id is, from the text of `/etc/passwd`.

use std::path::Path;

/// The system's list of users.
pub(crate) const PASSWD: &str = "/etc/passwd";

/// The user's name, or the id as text when there is none.
pub(crate) async fn name_of(uid: u32, passwd: &Path) -> String {
    // Users of a directory service are not in the file: then the number must do.
    let text = tokio::fs::read_to_string(passwd).await.unwrap_or_default();
    find(&text, uid).map_or_else(|| uid.to_string(), str::to_owned)
}

fn find(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let id = fields.nth(1)?.parse::<u32>().ok()?;
        (id == uid).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "root:x:0:0:root:/root:/bin/bash\n\nbroken\n:x:7:7::/:\nops:x:1000:0::/:\n";

    #[test]
    fn a_name_is_found_by_its_id_and_by_nothing_else() {
        assert_eq!(find(TEXT, 0), Some("root"));
        assert_eq!(find(TEXT, 1000), Some("ops"));
        assert_eq!(find(TEXT, 7), None);
        assert_eq!(find(TEXT, 10), None);
    }

    #[tokio::test]
    async fn a_user_without_name_is_its_number() {
        assert_eq!(name_of(4242, Path::new("/no/such/file")).await, "4242");
    }
}
