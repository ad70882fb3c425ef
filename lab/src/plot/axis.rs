//! The scale of values: percent, linear or logarithmic, readable at any magnitude.

use crate::results::quantile;

/// Values over more than this ratio stand on a logarithmic scale.
const WIDE: f64 = 100.0;
/// Decades that a logarithmic scale has above the middle value at most.
const DECADES: f64 = 8.0;
/// Room above 100 % and below 0 %, so that lines at the ends are whole.
const ROOM: f64 = 0.03;

/// Where values stand on an axis. Positions are small numbers whatever the values are.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    kind: Kind,
    /// The lowest position.
    pub(super) low: f64,
    /// The highest position.
    pub(super) high: f64,
    /// Between two labels.
    pub(super) step: f64,
    /// What the axis does not show as it is.
    note: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Percent,
    /// Positions are values over this unit, a power of ten.
    Linear(f64),
    /// Positions are decimal logarithms.
    Log,
}

impl Axis {
    /// Shares of 1 from 0 to 100 %.
    pub(super) fn percent(values: impl Iterator<Item = f64>) -> Self {
        let beyond =
            values.into_iter().any(|x| x.is_finite() && !(-ROOM..=1.0 + ROOM).contains(&x));
        let note = beyond.then(|| "values outside 0 to 100 % are drawn at the edge".to_owned());
        Axis { kind: Kind::Percent, low: -ROOM, high: 1.0 + ROOM, step: 0.2, note }
    }

    /// The scale that shows these values; those that are not finite have no place on it.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Self {
        let finite: Vec<f64> = values.filter(|x| x.is_finite()).collect();
        let least = finite.iter().copied().fold(f64::INFINITY, f64::min);
        let most = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let positive = finite.iter().copied().filter(|x| *x > 0.0);
        let smallest = positive.fold(f64::INFINITY, f64::min);
        match least {
            least if finite.is_empty() || (least == 0.0 && most == 0.0) => {
                Self::linear(0.0, 1.0, None)
            }
            least if least >= 0.0 && most / WIDE > smallest => {
                let positive: Vec<f64> = finite.into_iter().filter(|x| *x > 0.0).collect();
                Self::log(smallest, most, quantile(&positive, 0.5), least == 0.0)
            }
            least if least >= 0.0 => Self::linear(0.0, most, None),
            least => Self::signed(least, most, &finite),
        }
    }

    fn linear(least: f64, most: f64, note: Option<String>) -> Self {
        let size = least.abs().max(most.abs());
        let unit = 10f64.powi(size.log10().floor() as i32).max(f64::MIN_POSITIVE);
        let (low, high) = (1.05 * (least / unit), 1.05 * (most / unit).max(0.0));
        // Between four and eight labels.
        let most_apart = (high - low) / 4.0;
        let scale = 10f64.powf(most_apart.log10().floor());
        let nice = [5.0, 2.5, 2.0, 1.0];
        let step = scale * nice.into_iter().find(|x| x * scale <= most_apart).unwrap_or(1.0);
        Axis { kind: Kind::Linear(unit), low, high, step, note }
    }

    /// Runs that diverge must not press all others together: above the middle value the scale has
    /// a bounded number of decades.
    fn log(least: f64, most: f64, middle: f64, with_zero: bool) -> Self {
        let (low, whole) = (least.log10().floor(), most.log10().ceil());
        let high = whole.min((middle.log10() + DECADES).ceil());
        let step = ((high - low) / 6.0).ceil().max(1.0);
        let mut notes = Vec::new();
        if with_zero {
            notes.push("0 is drawn at the lower edge".to_owned());
        }
        if high < whole {
            let (edge, most) = (compact(10f64.powf(high)), compact(most));
            notes.push(format!("values above {edge}, up to {most}, are drawn at the upper edge"));
        }
        let note = Some(notes.join("; ")).filter(|note| !note.is_empty());
        Axis { kind: Kind::Log, low, high, step, note }
    }

    /// Values of both signs: a few of another magnitude do not flatten the others.
    fn signed(least: f64, most: f64, finite: &[f64]) -> Self {
        let sizes: Vec<f64> = finite.iter().map(|x| x.abs()).collect();
        let edge = 10.0 * quantile(&sizes, 0.9);
        if edge > 0.0 && (least < -edge || most > edge) {
            let note = format!("values beyond ±{} are drawn at the edge", compact(edge));
            return Self::linear(least.max(-edge), most.min(edge), Some(note));
        }
        Self::linear(least, most, None)
    }

    /// The position of a finite value, at the edge where it is beyond.
    pub(super) fn at(&self, x: f64) -> f64 {
        let place = match self.kind {
            Kind::Percent => x,
            Kind::Linear(unit) => x / unit,
            Kind::Log if x > 0.0 => x.log10(),
            Kind::Log => self.low,
        };
        place.clamp(self.low, self.high)
    }

    /// What stands beside a position.
    pub(super) fn label(&self, place: f64) -> String {
        match self.kind {
            Kind::Percent => format!("{:.0} %", 100.0 * place),
            Kind::Linear(unit) => compact(place * unit),
            Kind::Log => compact(10f64.powf(place)),
        }
    }

    /// What to add to the name of what is measured.
    pub(super) fn suffix(&self) -> &'static str {
        if self.kind == Kind::Log { " (log scale)" } else { "" }
    }

    /// What the axis does not show as it is, if anything.
    pub(super) fn note(&self) -> Option<String> {
        self.note.clone()
    }
}

/// A number in at most eight signs: "0", "0.25", "1500", "2.5e10", "1e-7".
pub fn compact(x: f64) -> String {
    let trim = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    match x.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e5).contains(&size) => {
            let digits = (3 - size.log10().floor() as i32).clamp(0, 6) as usize;
            trim(format!("{x:.digits$}"))
        }
        size if size.is_finite() => {
            let text = format!("{x:.2e}");
            let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            format!("{}e{exponent}", trim(mantissa.to_owned()))
        }
        _ => x.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_readable_at_any_magnitude() {
        for most in [1e-300, 1e-9, 0.3, 7.0, 2.4e10, 1e73, 1.7e308] {
            let narrow = Axis::of([most / 3.0, most].into_iter());
            assert!(narrow.high < 12.0 && narrow.high > narrow.low, "{narrow:?}");
            let labels = ((narrow.high - narrow.low) / narrow.step) as usize;
            assert!((3..=9).contains(&labels), "{most}: {labels}");
            assert!(narrow.at(most) <= narrow.high && narrow.at(most) > 0.9 * narrow.high);
        }
        let wide = Axis::of([2.3, 0.5, 1e73, f64::NAN, f64::INFINITY].into_iter());
        assert_eq!((wide.kind, wide.low, wide.high, wide.step), (Kind::Log, -1.0, 9.0, 2.0));
        assert_eq!((wide.label(8.0).as_str(), wide.suffix()), ("1e8", " (log scale)"));
        assert_eq!((wide.at(1e73), wide.at(0.5)), (9.0, 0.5f64.log10()));
        let said = "values above 1e9, up to 1e73, are drawn at the upper edge";
        assert_eq!(wide.note().as_deref(), Some(said));
        // Where most of them diverge, those that do not stay in sight.
        let most = Axis::of([0.5, 1e40, 1e41].into_iter());
        assert_eq!((most.low, most.high, most.note()), (-1.0, 41.0, None));
        assert!(Axis::of([0.0, 1e-4, 9.0].into_iter()).note().is_some());
        let signed =
            Axis::of([-1.0, 2.0, 1.5, -2.0, 1.0, 1.2, 0.4, -0.3, 1.1, 0.9, -1e40].into_iter());
        assert!(signed.note().is_some() && signed.at(-1e40) == signed.low, "{signed:?}");
        assert_eq!(Axis::of([f64::NAN].into_iter()).label(0.5), "0.5");
    }

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0.0, "0"), (0.25, "0.25"), (1500.0, "1500"), (2.5e10, "2.5e10"), (1e-7, "1e-7")];
        for (x, text) in cases {
            assert_eq!(compact(x), text);
        }
        assert_eq!((compact(-1e73).as_str(), compact(f64::NAN).as_str()), ("-1e73", "NaN"));
    }
}
