//! Room for floats that starts on a cache line.

use std::ops::{Deref, DerefMut};

/// A cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// A vector of floats on whole cache lines: registers that cross lines take twice the time.
#[derive(Clone, Default)]
pub(crate) struct Floats {
    lines: Vec<Line>,
    len: usize,
}

impl Floats {
    /// Makes it `len` floats. What is kept stays; the rest is 0, or what a longer vector held.
    pub(crate) fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(16);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0.0; 16]));
        }
        self.len = len;
    }

    /// The first `len` floats, after growing where they are fewer.
    pub(crate) fn room(&mut self, len: usize) -> &mut [f32] {
        if self.len < len {
            self.resize(len);
        }
        &mut self[..len]
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is 16 floats without padding, and `resize` keeps `len` within the lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_starts_on_a_line_and_keeps_what_it_held() {
        let mut floats = Floats::default();
        assert!(floats.is_empty());
        for len in [1, 17, 5, 1000, 16] {
            floats.resize(len);
            assert_eq!((floats.len(), floats.as_ptr().align_offset(64)), (len, 0));
            floats[len - 1] = len as f32;
        }
        assert_eq!((floats[0], floats[4], floats[15]), (1.0, 5.0, 16.0));
        assert_eq!(floats.room(17)[16], 17.0);
        assert_eq!((floats.room(3).len(), floats.len()), (3, 17));
    }
}
