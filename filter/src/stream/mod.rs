//! What Envoy knows of a stream at its end, read with one host call.
//!
//! A CEL list of all [`attributes`] is compiled when the configuration arrives and evaluated once per
//! stream; Envoy answers in the pairs layout. One call costs about half of one call per attribute.
//! On an Envoy without `expr_create` the same attributes are read one by one.
//!
//! Source: Envoy's attributes documentation, and `source/extensions/common/wasm/{context,foreign}.cc`
//! for the encodings.

mod attributes;
mod peer;

use self::attributes::{ATTRIBUTES, COUNT};
pub(crate) use self::attributes::{Attributes, Direction, Wanted};
pub(crate) use self::peer::Peer;
use crate::host::{Expression, ExpressionError, Host};
use crate::pairs::Pairs;

/// How a root context reads the attributes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader {
    /// All of them; without it they are read one by one.
    expression: Option<Expression>,
    wanted: Wanted,
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
    pub(crate) fn new(host: &impl Host, wanted: Wanted) -> Self {
        let expression = match host.create_expression(&attributes::expression(wanted)) {
            Ok(expression) => Some(expression),
            Err(ExpressionError::Unsupported) => {
                log::info!("this Envoy has no expr_create; attributes are read one by one");
                None
            }
            Err(ExpressionError::Invalid) => {
                log::warn!("this Envoy refuses the attribute expression; they are read one by one");
                None
            }
        };
        Self { expression, wanted }
    }

    /// Reads the current stream. The second value tells whether Envoy could not give the whole
    /// list at once although it should.
    pub(crate) fn read(self, host: &impl Host) -> (Stream, bool) {
        let list = self.expression.map(|expression| host.evaluate(expression));
        let failed = matches!(list, Some(None));
        let values = match list.flatten() {
            Some(list) => Values::List(Pairs::new(list)),
            None => Values::Each(self.read_each(host)),
        };
        (Stream { values }, failed)
    }

    fn read_each(self, host: &impl Host) -> Box<[Vec<u8>; COUNT]> {
        Box::new(ATTRIBUTES.map(|entry| {
            if entry.is_wanted(self.wanted) {
                host.property(entry.path).unwrap_or_default()
            } else {
                Vec::new()
            }
        }))
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
