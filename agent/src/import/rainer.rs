//! The parts of rsyslog's language that say what is read and where it goes: `input(type="imfile" file="…")` and the like, and the
//! `$Directive value` of old. Whatever else there is comes out as text.

use super::settings::Settings;
use super::tree::{Member, Node};

/// One thing of the file.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// `kind(name="value" …)`; kind and names in lower case.
    Object(String, Settings),
    /// `$Name value`; the name in lower case.
    Directive(String, String),
    /// Anything else, to the end of its line.
    Other(String),
}

/// All of the file, in its order.
pub(super) fn parse(text: &str) -> Vec<Statement> {
    let mut reader = Reader { text, at: 0 };
    let mut statements = Vec::new();
    while let Some(statement) = reader.statement() {
        statements.push(statement);
    }
    statements
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn line(&self) -> usize {
        1 + self.text.get(..self.at).unwrap_or_default().matches('\n').count()
    }

    /// What the rest begins with, up to the first character that is not of it.
    fn take_while(&mut self, is_of_it: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|letter| !is_of_it(letter)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let is_there = self.rest().starts_with(wanted);
        if is_there {
            self.at += wanted.len();
        }
        is_there
    }

    /// Over blanks, braces and comments.
    fn skip(&mut self, is_blank: impl Fn(char) -> bool) {
        loop {
            self.take_while(&is_blank);
            if self.rest().starts_with('#') {
                self.take_while(|letter| letter != '\n');
            } else if self.rest().starts_with("/*") {
                let rest = self.rest();
                self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            } else {
                return;
            }
        }
    }

    fn statement(&mut self) -> Option<Statement> {
        self.skip(|letter| letter.is_whitespace() || matches!(letter, '{' | '}' | ';'));
        let (line, begin) = (self.line(), self.at);
        if self.rest().is_empty() {
            return None;
        }
        let what = if self.take("$") {
            let name = self.take_while(|letter| !letter.is_whitespace()).to_lowercase();
            let value = self.take_while(|letter| letter != '\n');
            let value = value.split_once(" #").map_or(value, |(value, _)| value);
            What::Directive(name, value.trim().to_owned())
        } else {
            let kind = self
                .take_while(|letter| letter.is_alphanumeric() || letter == '_')
                .to_lowercase();
            self.take_while(char::is_whitespace);
            if !kind.is_empty() && self.take("(") {
                What::Object(kind, self.parameters())
            } else {
                self.at = begin;
                What::Other(self.take_while(|letter| letter != '\n').trim().to_owned())
            }
        };
        Some(Statement { line, what })
    }

    /// Up to the closing bracket.
    fn parameters(&mut self) -> Settings {
        let mut members = Vec::new();
        loop {
            self.skip(|letter| letter.is_whitespace() || letter == ',');
            if self.take(")") || self.rest().is_empty() {
                return Settings::of(Node::Map(members));
            }
            let line = self.line();
            let name = self
                .take_while(|letter| !letter.is_whitespace() && !matches!(letter, '=' | ')'))
                .to_lowercase();
            self.take_while(char::is_whitespace);
            let value = match self.take("=") {
                true => self.value(),
                false => Node::Text(String::new()),
            };
            if name.is_empty() {
                // Something that is none of it; on behind it.
                self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            } else {
                members.push(Member { name, line, value });
            }
        }
    }

    fn value(&mut self) -> Node {
        self.take_while(char::is_whitespace);
        if !self.take("[") {
            return Node::Text(self.word());
        }
        let mut items = Vec::new();
        loop {
            self.skip(|letter| letter.is_whitespace() || letter == ',');
            if self.take("]") || self.rest().is_empty() {
                return Node::List(items);
            }
            items.push(Node::Text(self.word()));
        }
    }

    /// In quotation marks, in which a backslash takes the next character as it is, or up to a blank.
    fn word(&mut self) -> String {
        if !self.take("\"") {
            let word = self.take_while(|letter| !letter.is_whitespace() && !matches!(letter, ')' | ']' | ','));
            if word.is_empty() {
                self.at += self.rest().chars().next().map_or(0, char::len_utf8);
            }
            return word.to_owned();
        }
        let mut word = String::new();
        let mut letters = self.rest().char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at += at + 1;
                    return word;
                }
                '\\' => word.extend(letters.next().map(|(_, letter)| letter)),
                _ => word.push(letter),
            }
        }
        self.at = self.text.len();
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_directives_and_the_rest() {
        let text = "# x(\n$Name a b  # c\ninput( TYPE=\"im\\\"file\" # c\n  list=[\"a\", \"b\"] bare=on)\nif $msg then { action(type=\"x\") }\n*.* /var/log/all\n";
        let statements = parse(text);
        let lines: Vec<_> = statements.iter().map(|statement| statement.line).collect();
        assert_eq!(lines, [2, 3, 5, 6]);
        assert!(matches!(&statements[0].what, What::Directive(name, value) if name == "name" && value == "a b"));
        let What::Object(kind, settings) = &statements[1].what else {
            panic!("{statements:?}")
        };
        assert_eq!(
            (kind.as_str(), settings.text("type").unwrap().text.as_str()),
            ("input", "im\"file")
        );
        assert_eq!(settings.texts("list").len(), 2);
        assert_eq!(settings.text("bare").unwrap().line, 4);
        assert!(matches!(&statements[3].what, What::Other(text) if text == "*.* /var/log/all"));
    }

    #[test]
    fn what_never_ends_ends_with_the_file() {
        for text in [
            "input(",
            "input(a=\"",
            "input(a=[",
            "/* ",
            "input(=)",
            "input(a=[)",
            "é(é=é",
            "$",
        ] {
            parse(text);
        }
    }
}
