//! Code that blocks, as a task of a simulated host: it runs on a stack of its own until it would
//! block, and is taken up again when what it waits for has come. All of it happens on one thread,
//! so that a seed has one course.

use crate::stage::Stage;
use generator::{Generator, Gn};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Words of a stack: 1 MiB, of which what is not touched takes no memory.
const STACK: usize = (1 << 20) / std::mem::size_of::<usize>();

thread_local! {
    /// What the next stack begins with.
    static BEGINS: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// Blocking code under way on the host of `who`.
struct Fibre {
    stage: Rc<Stage>,
    who: u32,
    stack: Generator<'static, (), ()>,
}

/// Runs `code`, which may block, on the host of `who`, as a future.
pub fn run<T: 'static>(
    stage: &Rc<Stage>,
    who: u32,
    code: impl FnOnce() -> T + 'static,
) -> impl Future<Output = T> {
    let result = Rc::new(RefCell::new(None));
    let out = Rc::clone(&result);
    let begins = move || *out.borrow_mut() = Some(code());
    BEGINS.set(Some(Box::new(begins)));
    let stack = Gn::new_opt(STACK, || {
        let begins = BEGINS.take().expect("it was set just before");
        begins();
    });
    let mut fibre = Fibre { stage: Rc::clone(stage), who, stack };
    // The code is fetched before anyone else can begin.
    let mut first = Some(BEGINS.take());
    std::future::poll_fn(move |context| {
        if let Some(begins) = first.take() {
            BEGINS.set(begins);
        }
        Pin::new(&mut fibre)
            .poll(context)
            .map(|()| result.borrow_mut().take().expect("the code came to its end"))
    })
}

impl Future for Fibre {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let outer = self.stage.enter(self.who, context.waker());
        self.stack.resume();
        self.stage.leave(outer);
        if self.stack.is_done() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// From within such code: gives the thread to others until the task is woken.
#[expect(deprecated, reason = "a scope cannot be handed through code that knows nothing of it")]
pub fn give_way() {
    generator::yield_with(());
}
