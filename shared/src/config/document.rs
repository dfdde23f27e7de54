//! The parsed file, still with the position of everything in it, on its way to the caller's type.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::error::Problem;
use super::substitute::expand;
use super::{Environment, VALUE_FILE_LEN_MAX, explain, read_at_most};

#[derive(Debug)]
pub(super) struct Document<'a> {
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// A syntax error comes with the key it is at, if that could be told.
    pub(super) fn parse(text: &'a str) -> Result<Self, (Problem, Vec<String>)> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self { root };
        match errors.into_iter().next() {
            None => Ok(document),
            Some(error) => {
                let problem = explain::syntax(&error, text);
                let key = document.key_at(problem.span());
                Err((problem, key))
            }
        }
    }

    pub(super) fn substitute(&mut self, environment: Environment) -> Result<(), Problem> {
        substitute_table(self.root.get_mut(), environment)
    }

    pub(super) fn deserialize<T: DeserializeOwned>(&mut self, directory: &Path) -> Result<T, Problem> {
        loop {
            let error = match T::deserialize(Deserializer::from(self.root.clone())) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            match explain::key_of_value_file(&error) {
                Some(key) => self.read_value_file(&error, key, directory)?,
                None => return Err(explain::meaning(&error)),
            }
        }
    }

    /// Puts `key = "content"` in the place of `key_file = "path"`, on which `error` was raised.
    fn read_value_file(&mut self, error: &toml::de::Error, key: &str, directory: &Path) -> Result<(), Problem> {
        let at = error.span().unwrap_or_default();
        let file_key = format!("{key}_file");
        let table = table_with_key(self.root.get_mut(), &file_key, &at).ok_or_else(|| explain::meaning(error))?;
        if table.contains_key(key) {
            let problem = Problem::new(format!("both `{key}` and `{file_key}` are set")).at(at);
            return Err(problem.remedy("keep one of them"));
        }
        let (name, value) = table
            .remove_entry(file_key.as_str())
            .ok_or_else(|| explain::meaning(error))?;
        let span = value.span();
        let Some(path) = value.get_ref().as_str() else {
            return Err(Problem::new(format!("`{file_key}` must be the path of a file, as a string")).at(span));
        };
        let path = directory.join(path);
        let content = read_at_most(&path, VALUE_FILE_LEN_MAX)
            .and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other))
            .map_err(|error| {
                let problem = Problem::new(format!("cannot read the value of `{key}` from {path:?}: {error}"));
                problem
                    .at(span.clone())
                    .remedy("check that the file exists and that this user may read it")
            })?;
        let content = content
            .strip_suffix('\n')
            .map_or(content.as_str(), |line| line.trim_end_matches('\r'));
        let value = DeValue::String(Cow::Owned(content.to_owned()));
        table.insert(
            Spanned::new(name.span(), Cow::Owned(key.to_owned())),
            Spanned::new(span, value),
        );
        Ok(())
    }

    /// The dotted path of keys that leads to a span.
    pub(super) fn key_at(&self, span: Range<usize>) -> Vec<String> {
        let mut path = Vec::new();
        find_in_table(self.root.get_ref(), &span, &mut path);
        path
    }
}

fn substitute_table(table: &mut DeTable<'_>, environment: Environment) -> Result<(), Problem> {
    table
        .iter_mut()
        .try_for_each(|(_, value)| substitute_value(value, environment))
}

fn substitute_value(value: &mut Spanned<DeValue<'_>>, environment: Environment) -> Result<(), Problem> {
    let span = value.span();
    match value.get_mut() {
        DeValue::String(text) if text.contains('$') => {
            *text = Cow::Owned(expand(text, environment).map_err(|problem| problem.at(span))?);
            Ok(())
        }
        DeValue::Array(values) => values
            .iter_mut()
            .try_for_each(|value| substitute_value(value, environment)),
        DeValue::Table(table) => substitute_table(table, environment),
        _ => Ok(()),
    }
}

fn table_with_key<'t, 'a>(table: &'t mut DeTable<'a>, name: &str, span: &Range<usize>) -> Option<&'t mut DeTable<'a>> {
    if table
        .iter()
        .any(|(key, _)| key.get_ref() == name && key.span() == *span)
    {
        return Some(table);
    }
    table
        .iter_mut()
        .find_map(|(_, value)| table_in_value(value.get_mut(), name, span))
}

fn table_in_value<'t, 'a>(value: &'t mut DeValue<'a>, name: &str, span: &Range<usize>) -> Option<&'t mut DeTable<'a>> {
    match value {
        DeValue::Table(table) => table_with_key(table, name, span),
        DeValue::Array(values) => values
            .iter_mut()
            .find_map(|value| table_in_value(value.get_mut(), name, span)),
        _ => None,
    }
}

fn find_in_table(table: &DeTable<'_>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        if find_in_value(value, span, path) || contains(&key.span(), span) {
            return true;
        }
        path.pop();
    }
    false
}

fn find_in_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>, path: &mut Vec<String>) -> bool {
    let below = match value.get_ref() {
        DeValue::Table(table) => find_in_table(table, span, path),
        DeValue::Array(values) => values.iter().any(|value| find_in_value(value, span, path)),
        _ => false,
    };
    below || contains(&value.span(), span)
}

fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
