//! The training machines: worker, adversary, intake and server. No socket, no clock, no file, no thread.
