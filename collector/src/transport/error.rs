//! Errors as one line.

use std::error::Error;

/// An error with what caused it: the outer ones tend to say no more than "transport error".
pub fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_once() {
        let inner = std::io::Error::other("no route");
        let outer = std::io::Error::other(inner);
        assert_eq!(describe(&outer), "no route");
        let parse = "x".parse::<u8>().unwrap_err();
        assert_eq!(describe(&parse), "invalid digit found in string");
    }
}
