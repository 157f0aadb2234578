//! Consistent probability sampling (OTEP 235).
#![forbid(unsafe_code)]
