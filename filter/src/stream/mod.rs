//! What Envoy knows of a stream at its end, read with one host call.
//!
//! A CEL list of all [`attributes`] is compiled when the configuration arrives and evaluated once per
//! stream; Envoy answers in the pairs layout. One call costs about half of one call per attribute.
//! On an Envoy without `expr_create` the same attributes are read one by one.
//!
//! Source: Envoy's attributes documentation, and `source/extensions/common/wasm/{context,foreign}.cc`
//! for the encodings.

mod attributes;

use self::attributes::{ATTRIBUTES, COUNT};
pub(crate) use self::attributes::{Attributes, Direction};
use crate::host::{Expression, ExpressionError, Host};
use crate::pairs::Pairs;

/// How a root context reads the attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reader {
    /// All with one expression.
    Expression(Expression),
    /// One property after the other.
    Properties,
}

/// The attributes of one stream, as Envoy wrote them; a missing one is empty.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    values: Values,
}

#[derive(Debug)]
enum Values {
    List(Pairs),
    Each(Box<[Vec<u8>; COUNT]>),
}

impl Reader {
    /// Compiles the expression, or settles for single properties.
    pub(crate) fn new(host: &impl Host) -> Self {
        match host.create_expression(&attributes::expression()) {
            Ok(expression) => Self::Expression(expression),
            Err(ExpressionError::Unsupported) => {
                log::info!("this Envoy has no expr_create; attributes are read one by one");
                Self::Properties
            }
            Err(ExpressionError::Invalid) => {
                log::warn!("this Envoy refuses the attribute expression; they are read one by one");
                Self::Properties
            }
        }
    }

    /// Reads the current stream. The second value tells whether Envoy could not give the whole
    /// list at once although it should.
    pub(crate) fn read(self, host: &impl Host) -> (Stream, bool) {
        let Self::Expression(expression) = self else {
            return (
                Stream {
                    values: Values::Each(read_each(host)),
                },
                false,
            );
        };
        match host.evaluate(expression) {
            Some(list) => (
                Stream {
                    values: Values::List(Pairs::new(list)),
                },
                false,
            ),
            None => (
                Stream {
                    values: Values::Each(read_each(host)),
                },
                true,
            ),
        }
    }
}

impl Stream {
    /// Decodes the attributes.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        let mut values: [&[u8]; COUNT] = [&[]; COUNT];
        match &self.values {
            Values::List(list) => {
                for (value, (found, _)) in values.iter_mut().zip(list) {
                    *value = found;
                }
            }
            Values::Each(each) => {
                for (value, found) in values.iter_mut().zip(each.iter()) {
                    *value = found;
                }
            }
        }
        Attributes::new(values)
    }
}

impl Default for Values {
    fn default() -> Self {
        Self::List(Pairs::default())
    }
}

fn read_each(host: &impl Host) -> Box<[Vec<u8>; COUNT]> {
    Box::new(ATTRIBUTES.map(|(_, path, _)| host.property(path).unwrap_or_default()))
}
