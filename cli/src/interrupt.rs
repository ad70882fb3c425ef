//! Ctrl-C: what is done is kept, and who waits is told what for.

use crate::print;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The flag that Ctrl-C sets, one for the whole process: an experiment may be several matrices,
/// and the system tells one handler. A second Ctrl-C ends the process at once. Whoever waits for
/// more than a moment after the first is told what for.
pub(crate) fn flag() -> &'static AtomicBool {
    static STOP: AtomicBool = AtomicBool::new(false);
    static HANDLER: Once = Once::new();
    HANDLER.call_once(|| {
        // Without a handler Ctrl-C ends the process, and the last checkpoints stand.
        let _ = ctrlc::set_handler(|| {
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            std::thread::spawn(|| {
                std::thread::sleep(PATIENCE);
                print::note(
                    "interrupted: runs stop after the step or evaluation under way, then what is \
                     over goes into tables; Ctrl-C again ends at once, and the last checkpoints \
                     stand",
                );
            });
        });
    });
    &STOP
}

/// How long nothing is said after Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(500);
