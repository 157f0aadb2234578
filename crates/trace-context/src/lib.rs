//! W3C Trace Context Level 2 and B3: parse, decide what continues, format.
#![forbid(unsafe_code)]
