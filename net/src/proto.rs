//! The messages and stubs of `ps.v1`, from `proto/ps.proto`, which documents each field.

#![allow(missing_docs, clippy::all, unreachable_pub)]

tonic::include_proto!("varangian.ps.v1");
