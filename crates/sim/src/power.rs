//! How the systems of power services are named.

use model::names::ApplianceName;

use crate::ledger::Node;

/// The system of a node: `NAME-a` or `NAME-b`.
pub(crate) fn system(name: &ApplianceName, node: Node) -> String {
    let letter = match node {
        Node::Primary => 'a',
        Node::Secondary => 'b',
    };
    format!("{name}-{letter}")
}

/// The appliance and node that a system is.
pub(crate) fn node(system: &str) -> Option<(&str, Node)> {
    let (name, letter) = system.rsplit_once('-')?;
    match letter {
        "a" => Some((name, Node::Primary)),
        "b" => Some((name, Node::Secondary)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_found_again() {
        let name = ApplianceName::new("ams-b").expect("a name");
        assert_eq!(node(&system(&name, Node::Secondary)), Some(("ams-b", Node::Secondary)));
        assert_eq!(node("ams-b-a"), Some(("ams-b", Node::Primary)));
        assert_eq!(node("1"), None);
    }
}
