//! `varangian plot DIR…`: draws everything that a folder of results can show, or one figure as it
//! is wanted in a paper.

use crate::{Failure, print, style};
use std::path::PathBuf;
use varangian_lab::pictures;
use varangian_lab::publish::{Entries, Style, figure};

/// What `varangian plot` draws, below its help.
const DRAWN: &str = "Without choices, pictures into the folder, as SVG and PNG, where the results hold what they show:
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
With any choice or several folders, one figure, as SVG, PDF and PNG that are one drawing:
  varangian plot runs/first --output figure --width 5.5 --rule krum --rule median
  varangian plot runs/first --output map --kind heatmap --column attack
A rule has one colour, dashes and marker in all of them, by its place in the experiment. A picture
that cannot be drawn is said, the others are drawn, and the exit code is 1; 2, where a file cannot
be written.";

/// Arguments of `varangian plot`.
#[derive(clap::Args)]
#[command(after_help = DRAWN)]
pub(crate) struct Args {
    /// Folders of results
    #[arg(required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    style: style::Chosen,
    /// The figure's files without their endings (figure, in this folder)
    #[arg(long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// What the figure is: curves, heatmap or boxes
    #[arg(long, value_name = "WORD")]
    kind: Option<String>,
    /// What the horizontal axis of curves shows: step, bytes (that a worker sent so far), or a key
    #[arg(long, value_name = "KEY")]
    x: Option<String>,
    /// What stands above; nothing by default
    #[arg(long)]
    title: Option<String>,
    /// The width in inches
    #[arg(long, value_name = "INCHES")]
    width: Option<f64>,
    /// The height of a panel as a share of its width, where a width is given (0.72)
    #[arg(long, value_name = "SHARE")]
    aspect: Option<f64>,
    /// The size of letters in points (8 where a width is given); heat maps and boxes are scaled as
    /// a whole
    #[arg(long, value_name = "POINTS")]
    font_size: Option<f64>,
    /// A TrueType or OpenType file whose letters are used instead of DejaVu Sans
    #[arg(long, value_name = "FILE")]
    font: Option<PathBuf>,
    /// The files' endings, with commas between: svg, pdf, png (all three)
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    format: Vec<String>,
}

/// Draws the pictures and lists them.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if let Some(odd) =
        args.aspect.into_iter().chain(args.font_size).find(|x| !(0.05..=200.0).contains(x))
    {
        let text = format!("--aspect and --font-size are above 0 and at most 200; found {odd}");
        return Err(Failure::refused(text));
    }
    let more = [&args.kind, &args.x, &args.title];
    let numbers = [args.width, args.aspect, args.font_size];
    let chosen = !args.style.is_empty()
        || more.iter().any(|one| one.is_some())
        || numbers.iter().any(Option::is_some)
        || args.output.is_some()
        || args.font.is_some()
        || !args.format.is_empty();
    match &args.folders[..] {
        [folder] if !chosen => all(folder),
        _ => one(args),
    }
}

fn all(folder: &std::path::Path) -> Result<(), Failure> {
    let drawn = pictures::draw(folder)?;
    drawn.missing.iter().for_each(|missing| print::line(missing));
    for file in &drawn.files {
        print::line(&format!("{}.svg .png", file.display()));
    }
    pictures::undrawn(&drawn.undrawn)
}

fn one(args: &Args) -> Result<(), Failure> {
    let style = args.style.read(Style {
        kind: args.kind.clone(),
        x: args.x.clone(),
        title: args.title.clone(),
        width: args.width,
        aspect: args.aspect,
        font_size: args.font_size,
        font: args.font.clone(),
        formats: args.format.clone(),
        ..Style::default()
    })?;
    let entries = Entries::read(&args.folders)?.chosen(&style)?;
    let picture = figure::figure(&entries, &style)?;
    let output = args.output.clone().unwrap_or_else(|| PathBuf::from("figure"));
    let endings: Vec<&str> = match style.formats.as_slice() {
        [] => vec!["svg", "pdf", "png"],
        own => own.iter().map(String::as_str).collect(),
    };
    picture.write_as(&output, &endings)?;
    entries.missing.iter().for_each(|missing| print::line(missing));
    print::line(&format!("{}.{}", output.display(), endings.join(" .")));
    Ok(())
}
