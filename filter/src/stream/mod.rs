//! What Envoy knows of a stream at its end, read with one host call.
//!
//! A CEL list of all [`attributes`] is compiled when the configuration arrives and evaluated once per
//! stream; Envoy answers in the pairs layout. One call costs about half of one call per attribute.
//! On an Envoy without `expr_create` the same attributes are read one by one. The response headers
//! that are captured come after the fixed list.
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

/// Reads the attributes for a root context.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Read all of them; without them they are read one by one.
    expressions: Option<Expressions>,
    /// Read what decides whether a request is kept, where that alone may be needed.
    decisive: Option<Expressions>,
    wanted: Wanted,
    /// The response headers that are read after the fixed list.
    headers: Vec<String>,
}

/// One for each kind of request: what gRPC alone has costs the others nothing.
#[derive(Clone, Copy, Debug)]
struct Expressions {
    http: Expression,
    grpc: Expression,
}

/// The attributes of one stream, as Envoy wrote them; a missing one is empty.
#[derive(Debug)]
pub(crate) struct Stream {
    values: Values,
}

#[derive(Debug)]
enum Values {
    List(Pairs),
    Each(Vec<Vec<u8>>),
}

/// The values of the response headers that the reader was made for, each empty if the header was
/// not there. Several values of one header are joined by commas.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResponseHeaders<'a> {
    stream: Option<&'a Stream>,
}

impl Reader {
    /// Compiles the expression, or settles for single properties. `headers` are names of response
    /// headers in lower case.
    #[inline(never)]
    pub(crate) fn new(host: &impl Host, wanted: Wanted, headers: &[String]) -> Self {
        let all = |is_grpc| attributes::expression(wanted, is_grpc, headers);
        let expressions = match Expressions::new(host, all) {
            Ok(expressions) => Some(expressions),
            Err(ExpressionError::Unsupported) => {
                log::info!("this Envoy has no expr_create; attributes are read one by one");
                None
            }
            Err(ExpressionError::Invalid) => {
                log::warn!("this Envoy refuses the attribute expression; they are read one by one");
                None
            }
        };
        let decisive = (wanted.decisions && expressions.is_some())
            .then(|| Expressions::new(host, attributes::decisive).ok())
            .flatten();
        Self {
            expressions,
            decisive,
            wanted,
            headers: headers.to_vec(),
        }
    }

    /// Reads the current stream. The second value tells whether Envoy could not give the whole
    /// list at once although it should.
    pub(crate) fn read(&self, host: &impl Host, is_grpc: bool) -> (Stream, bool) {
        let list = self
            .expressions
            .map(|expressions| host.evaluate(expressions.of(is_grpc)));
        let failed = matches!(list, Some(None));
        let values = match list.flatten() {
            Some(list) => Values::List(Pairs::new(list)),
            None => Values::Each(self.read_each(host, is_grpc)),
        };
        (Stream { values }, failed)
    }

    /// Reads of the current stream what decides whether it is kept: duration, response code and
    /// flags, gRPC's status, and the listener's direction. `None` if that cannot be had by itself.
    pub(crate) fn read_decisive(&self, host: &impl Host, is_grpc: bool) -> Option<Stream> {
        let list = host.evaluate(self.decisive?.of(is_grpc))?;
        let values = Values::List(Pairs::new(list));
        Some(Stream { values })
    }

    fn read_each(&self, host: &impl Host, is_grpc: bool) -> Vec<Vec<u8>> {
        let attributes = ATTRIBUTES.iter().map(|entry| {
            if entry.is_wanted(self.wanted, is_grpc) {
                host.property(entry.path)
            } else {
                None
            }
        });
        let headers = self.headers.iter();
        let headers = headers.map(|name| host.property(&["response", "headers", name]));
        let values = attributes.chain(headers);
        values.map(Option::unwrap_or_default).collect()
    }
}

impl Expressions {
    /// `text` makes the expression for gRPC, or for what is not.
    fn new(host: &impl Host, text: impl Fn(bool) -> String) -> Result<Self, ExpressionError> {
        Ok(Self {
            http: host.create_expression(&text(false))?,
            grpc: host.create_expression(&text(true))?,
        })
    }

    fn of(self, is_grpc: bool) -> Expression {
        if is_grpc { self.grpc } else { self.http }
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
                for (value, found) in values.iter_mut().zip(each) {
                    *value = found;
                }
            }
        }
        Attributes {
            response_headers: ResponseHeaders { stream: Some(self) },
            ..Attributes::new(values)
        }
    }

    /// The value at a place of the list.
    fn value(&self, at: usize) -> Option<&[u8]> {
        match &self.values {
            Values::List(list) => list.iter().nth(at).map(|(value, _)| value),
            Values::Each(each) => each.get(at).map(Vec::as_slice),
        }
    }
}

impl<'a> ResponseHeaders<'a> {
    /// In the order of the reader's names.
    pub(crate) fn values(self) -> impl Iterator<Item = &'a [u8]> {
        let stream = self.stream;
        (COUNT..).map_while(move |at| stream?.value(at))
    }
}
