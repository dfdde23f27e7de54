//! Stack traces as Java, Python and Go write them: a state machine over lines.
//!
//! In all of them an indented line belongs to the line before it. The rest is what each language puts at the start of a
//! line: exceptions and their causes (Java), the exception behind the frames and the chain of those before it (Python),
//! goroutines and their functions (Go). A trace belongs to the log line before it where nothing speaks against that.

/// Whose traces are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Languages {
    /// And whatever else runs on the JVM.
    pub java: bool,
    /// With chained exceptions and exception groups.
    pub python: bool,
    /// Panics, fatal errors, and the stacks of goroutines.
    pub go: bool,
}

impl Languages {
    /// Indentation alone.
    pub const NONE: Self = Self {
        java: false,
        python: false,
        go: false,
    };
    /// Whatever is known.
    pub const ALL: Self = Self {
        java: true,
        python: true,
        go: true,
    };
}

/// Where in a trace the last line was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Within {
    /// In none, or in one that needs no memory.
    #[default]
    Line,
    /// Python: among the frames; the exception comes next.
    Frames,
    /// Python: at the exception.
    Exception,
    /// Python: at the empty line behind it, after which another exception may follow.
    BeforeChain,
    /// Python: between the words that chain two exceptions and the frames of the second.
    Chain,
    /// Go: in a panic, or at a goroutine.
    Goroutine,
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
const CHAINS: [&[u8]; 2] = [
    b"During handling of the above exception, another exception occurred:",
    b"The above exception was the direct cause of the following exception:",
];

impl Within {
    /// After the first line of an event.
    pub(super) fn begin(languages: Languages, line: &[u8]) -> Self {
        if languages.python && line.starts_with(TRACEBACK) {
            Self::Frames
        } else if languages.go && (is_panic(line) || is_goroutine(line)) {
            Self::Goroutine
        } else {
            Self::Line
        }
    }

    /// After one more line of the same event; `None` if it is the first of the next.
    pub(super) fn next(self, languages: Languages, line: &[u8]) -> Option<Self> {
        if is_indented(line) {
            return Some(self);
        }
        if languages.java && (line.starts_with(b"Caused by: ") || is_java_exception(line)) {
            return Some(self);
        }
        if languages.python && line.starts_with(TRACEBACK) {
            return Some(Self::Frames);
        }
        if languages.go && is_goroutine(line) {
            return Some(Self::Goroutine);
        }
        match self {
            Self::Line => None,
            Self::Frames if line.is_empty() => Some(Self::Frames),
            Self::Frames => Some(Self::Exception),
            Self::Exception => line.is_empty().then_some(Self::BeforeChain),
            Self::BeforeChain => CHAINS.contains(&line).then_some(Self::Chain),
            Self::Chain => line.is_empty().then_some(Self::Chain),
            Self::Goroutine => is_of_goroutine(line).then_some(Self::Goroutine),
        }
    }
}

fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// `java.lang.IllegalStateException: why`, or without a reason.
fn is_java_exception(line: &[u8]) -> bool {
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$');
    let name_len = line.iter().position(|byte| !is_of_name(byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at(name_len);
    let is_throwable = [&b"Exception"[..], b"Error", b"Throwable"]
        .iter()
        .any(|suffix| name.ends_with(suffix));
    is_throwable && name.contains(&b'.') && (rest.is_empty() || rest.starts_with(b": "))
}

fn is_panic(line: &[u8]) -> bool {
    line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ")
}

/// `goroutine 12 [running]:`
fn is_goroutine(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"goroutine ") else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest.get(digits..).is_some_and(|rest| rest.starts_with(b" ["))
}

/// The lines of a panic that are not indented.
fn is_of_goroutine(line: &[u8]) -> bool {
    const STARTS: [&[u8]; 5] = [
        b"created by ",
        b"[signal ",
        b"exit status ",
        b"runtime stack:",
        b"...additional frames elided...",
    ];
    line.is_empty() || is_panic(line) || STARTS.iter().any(|start| line.starts_with(start)) || is_go_call(line)
}

/// `main.(*Server).serve(0xc000, {0x1, 0x2})`: no space before the first parenthesis, and another at the end.
fn is_go_call(line: &[u8]) -> bool {
    let before = line.split(|byte| *byte == b'(').next().unwrap_or(line);
    line.ends_with(b")") && before.len() < line.len() && before.contains(&b'.') && !before.contains(&b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts text into events, each shown by the number of its lines.
    fn lines_of_events(languages: Languages, text: &str) -> Vec<usize> {
        let mut events = Vec::new();
        let mut within = None;
        for line in text.lines() {
            let line = line.as_bytes();
            match within.and_then(|within: Within| within.next(languages, line)) {
                Some(next) => {
                    within = Some(next);
                    *events.last_mut().unwrap() += 1;
                }
                None => {
                    within = Some(Within::begin(languages, line));
                    events.push(1);
                }
            }
        }
        events
    }

    const JAVA: &str = "\
2026-11-27 12:00:01 ERROR cannot charge
java.lang.IllegalStateException: no account
\tat shop.Billing.charge(Billing.java:42)
\tat shop.Main.main(Main.java:7)
\tSuppressed: java.io.IOException: closed
\t\tat shop.Store.close(Store.java:3)
Caused by: java.sql.SQLException: gone
\tat shop.Store.load(Store.java:9)
\t... 2 more
2026-11-27 12:00:02 INFO java.lang.Error: is only spoken of
Exception in thread \"main\" java.lang.OutOfMemoryError
\tat shop.Main.main(Main.java:7)
done.
";

    #[test]
    fn java_exceptions_go_with_the_line_before_them_and_with_their_causes() {
        let java = Languages {
            java: true,
            ..Languages::NONE
        };
        assert_eq!(lines_of_events(java, JAVA), [9, 1, 2, 1]);
        assert_eq!(lines_of_events(Languages::NONE, JAVA), [1, 5, 3, 1, 2, 1]);
    }

    const PYTHON: &str = "\
ERROR:root:cannot charge
Traceback (most recent call last):
  File \"shop.py\", line 3, in load
    return accounts[name]
KeyError: 'ann'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File \"shop.py\", line 9, in <module>
    charge()
    ~~~~~~^^
ValueError: no account
INFO:root:next

INFO:root:after an empty line
  + Exception Group Traceback (most recent call last):
  |   File \"shop.py\", line 3, in <module>
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
";

    #[test]
    fn a_python_trace_ends_with_its_exception_unless_another_is_chained_to_it() {
        let python = Languages {
            python: true,
            ..Languages::NONE
        };
        assert_eq!(lines_of_events(python, PYTHON), [13, 1, 1, 5]);
    }

    const GO: &str = "\
2026/11/27 12:00:01 serving
panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47b2a5]

goroutine 1 [running]:
main.(*Shop).charge(0x0, {0xc000012345, 0x3})
\t/src/shop.go:12 +0x1d
main.main()
\t/src/main.go:7 +0x2a

goroutine 18 [select]:
net/http.(*persistConn).writeLoop(0xc0001)
\t/usr/lib/go/src/net/http/transport.go:2410 +0xf0
created by net/http.(*Transport).dialConn in goroutine 1
\t/usr/lib/go/src/net/http/transport.go:1776 +0x1685
exit status 2
2026/11/27 12:00:02 http: panic serving 10.0.0.1:4711: no account (again)
goroutine 34 [running]:
net/http.(*conn).serve.func1()
\t/usr/lib/go/src/net/http/server.go:1868 +0xb9
2026/11/27 12:00:03 served (200)
";

    #[test]
    fn a_go_panic_has_all_its_goroutines() {
        let go = Languages {
            go: true,
            ..Languages::NONE
        };
        assert_eq!(lines_of_events(go, GO), [1, 15, 4, 1]);
    }

    #[test]
    fn traces_of_all_languages_can_stand_in_one_file() {
        let all = [JAVA, PYTHON, GO].concat();
        let expected = [9, 1, 2, 1, 13, 1, 1, 5, 1, 15, 4, 1];
        assert_eq!(lines_of_events(Languages::ALL, &all), expected);
    }
}
