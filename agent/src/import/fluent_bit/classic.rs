//! Fluent Bit's own language, `[SECTION]` and indented `Key value`, as the tree that its YAML would be.

use super::super::tree::{Member, Node};

/// All sections, under the names that YAML has for them; keys in lower case.
pub(super) fn tree(text: &str) -> Node {
    let mut sections: Vec<(String, Vec<Member>)> = Vec::new();
    let mut others = Vec::new();
    for (index, whole) in text.lines().enumerate() {
        let line = index + 1;
        let trimmed = whole.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push((name.trim().to_ascii_lowercase(), Vec::new()));
            continue;
        }
        let (name, value) = trimmed.split_once(char::is_whitespace).unwrap_or((trimmed, ""));
        let member = Member {
            name: name.to_ascii_lowercase(),
            line,
            value: Node::Text(value.trim().to_owned()),
        };
        match sections.last_mut() {
            Some((_, members)) if !name.starts_with('@') => members.push(member),
            _ => others.push(member),
        }
    }
    let all_of = |kind: &str, sections: &mut Vec<(String, Vec<Member>)>| {
        let of_kind: Vec<_> = sections.extract_if(.., |(name, _)| name == kind).collect();
        Node::List(of_kind.into_iter().map(|(_, members)| Node::Map(members)).collect())
    };
    let mut tree = others;
    for (kind, name) in [
        ("input", "pipeline.inputs"),
        ("filter", "pipeline.filters"),
        ("output", "pipeline.outputs"),
        ("parser", "parsers"),
        ("multiline_parser", "multiline_parsers"),
    ] {
        tree.push(member(name, all_of(kind, &mut sections)));
    }
    for (name, members) in sections {
        tree.push(member(&name, Node::Map(members)));
    }
    Node::Map(tree)
}

/// The same with its names in lower case, as Fluent Bit reads them.
pub(super) fn lowered(node: Node) -> Node {
    match node {
        Node::Text(text) => Node::Text(text),
        Node::List(items) => Node::List(items.into_iter().map(lowered).collect()),
        Node::Map(members) => {
            let member = |Member { name, line, value }| Member {
                name: name.to_ascii_lowercase(),
                line,
                value: lowered(value),
            };
            Node::Map(members.into_iter().map(member).collect())
        }
    }
}

fn member(name: &str, value: Node) -> Member {
    Member {
        name: name.to_owned(),
        line: 0,
        value,
    }
}
