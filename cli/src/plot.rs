//! `varangian plot DIR`: draws everything that a folder of results can show.

use crate::{Failure, print};
use std::path::PathBuf;
use varangian_lab::pictures;

/// What `varangian plot` draws, below its help.
const DRAWN: &str = "Pictures, each as SVG and PNG, where the results hold what they show:
  accuracy (or test_loss)    against the step: a panel an attack, a line a rule, bands over seeds;
                             one file for each setting that varies beside rule, attack and seed
  heatmap                    rule × attack: accuracy, mean of the last 10 evaluations
  heterogeneity-RULE         f × partition: the worst case over attacks, where both vary
  boxes-best, boxes-last     best and last accuracies over attacks and seeds, a box a rule; one
                             file for each setting
  acceptance                 weight that the rule gives to hostile rows, against the step
  loss                       honest minibatch loss, against the step
  ratio, ratio-sampled       variance-norm ratio of what honest workers send, and of their
                             gradients before momentum (runs with study > 0)
  against                    share of the coordinates that a vote moves against the sum of the
                             honest signs (the same, where workers send signs)
A rule has one colour, dashes and marker in all of them, by its place in the experiment. A picture
that cannot be drawn is said, the others are drawn, and the exit code is 1; 2, where a file cannot
be written.";

/// Arguments of `varangian plot`.
#[derive(clap::Args)]
#[command(after_help = DRAWN)]
pub(crate) struct Args {
    /// A folder of results
    folder: PathBuf,
}

/// Draws the pictures and lists them.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let drawn = pictures::draw(&args.folder)?;
    drawn.missing.iter().for_each(|missing| print::line(missing));
    for file in &drawn.files {
        print::line(&format!("{}.svg .png", file.display()));
    }
    pictures::undrawn(&drawn.undrawn)
}
