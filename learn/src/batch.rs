//! A minibatch: inputs and targets, owned and reused from step to step.

/// What the model should answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One class a sample, from 0.
    Labels(Vec<u32>),
    /// One or more real values a sample, rows packed.
    Values(Vec<f32>),
}

/// A minibatch of `len` samples.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Inputs, one sample a row, packed: channels × height × width for images.
    pub inputs: Vec<f32>,
    /// Targets, in the order of the inputs.
    pub targets: Targets,
    /// The number of samples.
    pub len: usize,
    /// What of the inputs differs from one value, where a data set lists it anyway: it saves a
    /// model that looks for it the way through all inputs.
    pub entries: Entries,
}

impl Default for Batch {
    fn default() -> Self {
        let (inputs, entries) = Default::default();
        Batch { inputs, targets: Targets::Labels(Vec::new()), len: 0, entries }
    }
}

impl Batch {
    /// Makes room for `len` samples of `width` inputs; no entries are listed.
    pub fn begin(&mut self, len: usize, width: usize) {
        self.len = len;
        self.inputs.resize(len * width, 0.0);
        self.entries.width = 0;
    }

    /// The labels, or `None` for real-valued targets.
    pub fn labels_mut(&mut self) -> Option<&mut [u32]> {
        match &mut self.targets {
            Targets::Labels(labels) => Some(labels),
            Targets::Values(_) => None,
        }
    }
}

/// Which training samples a worker draws at a step: a pure function of (worker, step), so that any
/// step can be drawn again alone and workers can be computed in any order.
pub trait Sampler: Send + Sync {
    /// Sets `indices` to the samples of `worker`'s minibatch at `step`.
    fn draw(&self, worker: u32, step: u64, indices: &mut Vec<u32>);

    /// The k-th worker after this one, around a ring of all, whose minibatches it may draw too;
    /// itself where a sampler knows no others.
    fn beside(&self, worker: u32, k: u32) -> u32 {
        let _ = k;
        worker
    }

    /// How many workers the ring has.
    fn ring(&self, worker: u32) -> u32 {
        (1..).find(|&k| self.beside(worker, k) == worker).expect("a ring comes back")
    }

    /// All samples that `worker`'s minibatches come from, each once; none where a sampler does not
    /// say.
    fn share(&self, worker: u32) -> &[u32] {
        let _ = worker;
        &[]
    }

    /// Steps after which a worker has seen its samples once; schedules and records count epochs by
    /// it.
    fn steps_per_epoch(&self) -> f64;
}

/// Rows of one width as what differs from one value, row by row: images on a plain background,
/// sparse tables.
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// The width of a row; 0 where nothing is listed.
    width: usize,
    /// The value everywhere else.
    background: f32,
    /// Where each row starts in the lists below, and where the last ends.
    starts: Vec<u32>,
    /// The column of each entry, ascending in a row.
    columns: Vec<u32>,
    /// What the entry adds to the background.
    values: Vec<f32>,
}

/// Some rows of [`Entries`].
#[derive(Clone, Copy)]
pub(crate) struct Listed<'a> {
    pub(crate) background: f32,
    pub(crate) starts: &'a [u32],
    pub(crate) columns: &'a [u32],
    pub(crate) values: &'a [f32],
}

impl Entries {
    /// Starts a list of at most `rows` rows, of which at most a third may differ from the
    /// background. Answers no, and lists nothing, where rows are too many or the background is not
    /// finite.
    pub(crate) fn start(&mut self, rows: usize, width: usize, background: f32) -> bool {
        let fits = background.is_finite() && u32::try_from(rows * width).is_ok();
        self.width = if fits { width } else { 0 };
        self.background = background;
        self.starts.clear();
        self.starts.push(0);
        self.columns.resize(rows * width / 3 + 2 * width + 64, 0);
        self.values.resize(self.columns.len(), 0.0);
        fits
    }

    /// The lists behind the last row's: room for a row and 16 entries more.
    pub(crate) fn room(&mut self) -> (&mut [u32], &mut [f32]) {
        let count = self.count();
        (&mut self.columns[count..], &mut self.values[count..])
    }

    /// Ends a row of `count` entries. Answers no, and lists nothing more, where entries are too
    /// many.
    pub(crate) fn end_row(&mut self, count: usize) -> bool {
        let count = self.count() + count;
        self.starts.push(count as u32);
        let rows = self.starts.len() - 1;
        if count > rows * self.width / 3 + self.width {
            self.width = 0;
        }
        self.width > 0
    }

    /// Ends the list; answers whether it is one.
    pub(crate) fn end(&mut self) -> bool {
        if self.count() > (self.starts.len() - 1) * self.width / 3 {
            self.width = 0;
        }
        self.width > 0
    }

    fn count(&self) -> usize {
        self.starts.last().map_or(0, |&count| count as usize)
    }

    /// The rows of `range`, where there is a list of rows of this width that has them.
    pub(crate) fn listed(&self, range: std::ops::Range<usize>, width: usize) -> Option<Listed<'_>> {
        let starts = self.starts.get(range.start..=range.end).filter(|_| self.width == width)?;
        let Entries { background, columns, values, .. } = self;
        Some(Listed { background: *background, starts, columns, values })
    }
}

impl<'a> Listed<'a> {
    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.starts.len() - 1
    }

    /// Row r's columns and values.
    pub(crate) fn row(&self, r: usize) -> (&'a [u32], &'a [f32]) {
        let range = self.starts[r] as usize..self.starts[r + 1] as usize;
        (&self.columns[range.clone()], &self.values[range])
    }
}
