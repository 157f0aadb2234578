//! Which requests have an access log record, and what users add to it, in CEL.
//!
//! `filter` is a condition. `body` and `attributes` are expressions of any type. Envoy gives the
//! value of an expression without its type, and eight bytes can be an integer, a double or text, so
//! each value is asked for together with a letter that says its type. All expressions are evaluated
//! with one call of the host; if one of them fails so does the call, and each is evaluated alone,
//! so that it takes nothing but its own value with it.
//!
//! | CEL | becomes |
//! |---|---|
//! | string, bytes | text |
//! | int, uint | an integer |
//! | double, bool | the same |
//! | duration | a double, seconds |
//! | timestamp | text, RFC 3339 |
//! | list | a list of texts |
//! | null, empty text | nothing |
//!
//! Left out: maps and messages, which fail.

use crate::condition::{Condition, Failures};
use crate::host::{Expression, ExpressionError, Host};
use crate::pairs::{Iter, Pairs};
use crate::stats::Stats;

/// What `v` is, as the first item of a list, and after it `v` itself. The frequent types come
/// first; the names of the last two types are not known to Envoy's CEL.
const TYPED: &str = r#".map(v,type(v)==string?["s",v]:type(v)==int?["i",v]:type(v)==bool?["b",v]:type(v)==double?["d",v]:type(v)==uint?["u",v]:v==null?["n"]:type(v)==list?["l"]+v.map(w,string(w)):type(v)==bytes?["s",v]:type(v)==type(duration("0s"))?["t",v]:type(v)==type(timestamp("1970-01-01T00:00:00Z"))?["s",string(v)]:[])"#;

/// Access log records, as they are configured.
#[derive(Debug, Default)]
pub struct AccessLog {
    /// Whether a request has a record; without it every request has.
    pub(crate) filter: Option<Condition>,
    pub(crate) additions: Additions,
}

/// The expressions whose values go into each record.
#[derive(Debug, Default)]
pub(crate) struct Additions {
    fields: Vec<Field>,
    /// All of them as one list; `None` if there are none.
    together: Option<Expression>,
}

/// One expression.
#[derive(Debug)]
struct Field {
    target: Target,
    alone: Expression,
    failures: Failures,
}

/// Where a value goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Body,
    /// The attribute of this name.
    Attribute(String),
}

/// An expression that parses by itself.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) target: Target,
    pub(crate) text: String,
    /// Where it stands in the configuration.
    pub(crate) path: String,
}

/// What the expressions gave for one stream.
#[derive(Debug)]
pub(crate) enum Results {
    /// One list for all expressions.
    Together(Pairs),
    /// A list for each, which is empty if that one failed.
    Alone(Vec<Pairs>),
}

/// What is added to one record.
#[derive(Debug, Default)]
pub(crate) struct Added<'a> {
    pub(crate) body: Option<Value<'a>>,
    /// No name is there twice.
    pub(crate) attributes: Vec<(&'a str, Value<'a>)>,
}

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// Any bytes.
    Text(&'a [u8]),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// Each of any bytes.
    Texts(Vec<&'a [u8]>),
}

impl AccessLog {
    /// Whether the current stream has a record.
    pub(crate) fn wants(&self, host: &impl Host, stats: &Stats) -> bool {
        match &self.filter {
            Some(filter) => filter.holds(host, stats),
            None => true,
        }
    }
}

impl Additions {
    /// Compiles the expressions.
    ///
    /// # Errors
    /// The host's, if it refuses what it took before.
    pub(crate) fn new(host: &impl Host, sources: Vec<Source>) -> Result<Self, ExpressionError> {
        if sources.is_empty() {
            return Ok(Self::default());
        }
        let together =
            host.create_expression(&typed(sources.iter().map(|source| &*source.text)))?;
        let field = |source: Source| {
            Ok(Field {
                alone: host.create_expression(&typed([&*source.text]))?,
                target: source.target,
                failures: Failures::new(source.path),
            })
        };
        Ok(Self {
            fields: sources.into_iter().map(field).collect::<Result<_, _>>()?,
            together: Some(together),
        })
    }

    /// Evaluates the expressions on the current stream.
    pub(crate) fn evaluate(&self, host: &impl Host) -> Results {
        let list = self.together.map(|together| host.evaluate(together));
        match list {
            None => Results::Alone(Vec::new()),
            Some(Some(list)) => Results::Together(Pairs::new(list)),
            // Alone it is the same expression.
            Some(None) if self.fields.len() == 1 => Results::Alone(vec![Pairs::default()]),
            Some(None) => {
                let alone = self.fields.iter().map(|field| host.evaluate(field.alone));
                let lists = alone.map(|list| Pairs::new(list.unwrap_or_default()));
                Results::Alone(lists.collect())
            }
        }
    }

    /// Sorts out what [`Additions::evaluate`] gave.
    pub(crate) fn read<'a>(&'a self, results: &'a Results, stats: &Stats) -> Added<'a> {
        let mut added = Added::default();
        let mut put = |field: &'a Field, item: Option<&'a [u8]>| match item.and_then(Value::parse) {
            Some(value) => added.put(&field.target, value),
            None => field
                .failures
                .count(stats, "fails on a request, and so adds nothing"),
        };
        match results {
            Results::Together(list) => {
                let mut items = list.iter().map(|(item, _)| item);
                for field in &self.fields {
                    put(field, items.next());
                }
            }
            Results::Alone(lists) => {
                for (field, list) in self.fields.iter().zip(lists) {
                    put(field, list.iter().map(|(item, _)| item).next());
                }
            }
        }
        added
    }
}

impl<'a> Added<'a> {
    /// Whether it has an attribute of this name.
    #[inline]
    pub(crate) fn has(&self, name: &str) -> bool {
        !self.attributes.is_empty() && self.finds(name)
    }

    #[inline(never)]
    fn finds(&self, name: &str) -> bool {
        self.attributes.iter().any(|(found, _)| *found == name)
    }

    /// Absent values add nothing.
    fn put(&mut self, target: &'a Target, value: Option<Value<'a>>) {
        let Some(value) = value else {
            return;
        };
        match target {
            Target::Body => self.body = Some(value),
            Target::Attribute(name) => self.attributes.push((name, value)),
        }
    }
}

impl<'a> Value<'a> {
    /// Reads what [`TYPED`] makes of a value; the inner `None` is a value that is absent.
    fn parse(item: &'a [u8]) -> Option<Option<Self>> {
        let mut items = Iter::new(item).map(|(item, _)| item);
        let kind = items.next()?;
        let value = match kind {
            b"n" => return Some(None),
            b"l" => Self::Texts(items.collect()),
            b"s" => match items.next()? {
                b"" => return Some(None),
                text => Self::Text(text),
            },
            b"i" => Self::Int(i64::from_le_bytes(eight(items.next()?)?)),
            b"u" => {
                let number = u64::from_le_bytes(eight(items.next()?)?);
                Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
            }
            b"d" => Self::Double(f64::from_le_bytes(eight(items.next()?)?)),
            b"t" => {
                let nanos = i64::from_le_bytes(eight(items.next()?)?);
                Self::Double(nanos as f64 / 1e9)
            }
            b"b" => Self::Bool(items.next()? == [1]),
            _ => return None,
        };
        Some(Some(value))
    }
}

/// A list of these expressions, each value with its type. A line break ends a comment.
fn typed<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = texts
        .into_iter()
        .map(|text| format!("({text}\n)"))
        .collect();
    format!("[{}]{TYPED}", items.join(","))
}

fn eight(bytes: &[u8]) -> Option<[u8; 8]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests;
