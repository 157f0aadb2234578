//! The factory that most extensions have.

use std::fmt::{self, Display};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use super::component::{ExtensionConfig, ExtensionFactory};
use crate::config::{Problems, Section};

/// Makes extensions of one kind: reads the options as an `O`, and makes a configuration `C` of them. Where
/// an option cannot be wrong once it is read, both are the same.
pub struct ExtensionKind<O, C = O> {
    name: &'static str,
    types: PhantomData<fn(O) -> C>,
}

// === impl ExtensionKind ===

impl<O, C> ExtensionKind<O, C> {
    /// The factory for `name`, as configurations have it.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            types: PhantomData,
        }
    }
}

impl<O, C> ExtensionFactory for ExtensionKind<O, C>
where
    O: DeserializeOwned,
    C: TryFrom<O, Error: Display> + ExtensionConfig + 'static,
{
    fn kind(&self) -> &'static str {
        self.name
    }

    fn configure(&self, section: &Section<'_>) -> Result<Box<dyn ExtensionConfig>, Problems> {
        let options: O = section.read()?;
        let config = C::try_from(options).map_err(|error| section.problem(error.to_string()))?;
        Ok(Box::new(config))
    }
}

impl<O, C> fmt::Debug for ExtensionKind<O, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtensionKind").field(&self.name).finish()
    }
}
