//! The server of `varangian-net` and its workers on a simulated network, in simulated time: what
//! goes wrong is drawn from a seed, and what must hold whatever goes wrong is checked afterwards.
//!
//! The machines, the service behind the socket, HTTP/2, the client and the workers' loop are the
//! real ones. Simulated are the network (turmoil), time (tokio's, paused), the disk
//! ([`disk`]), and the threads: code that blocks runs on stacks of its own ([`fibre`]), so that all
//! of a run happens on one thread and a seed has one course.

pub mod disk;
pub mod draw;
pub mod fibre;
pub mod history;
pub mod hostile;
pub mod judge;
pub mod model;
pub mod one;
pub mod replay;
pub mod scenario;
pub mod serve;
pub mod stage;
pub mod street;
pub mod workers;
