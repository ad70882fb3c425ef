//! The suite that every entry goes through: reference, bound, determinism, claims.
