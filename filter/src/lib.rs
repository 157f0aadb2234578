//! The Spanmesh filter.
