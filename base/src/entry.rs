//! What a variant says about itself. The one list of entries drives everything: help,
//! configuration, the catalogue, the bound check, conformance, benches, bindings.

use crate::SpecError;
use crate::spec::{self, Args, Spec};
use std::any::Any;
use std::fmt;

/// An entry of any family, as it is handed to a variant that names others among its parameters.
pub type AnyEntry = &'static (dyn Any + Send + Sync);

/// What a variant (rule, attack, model, data set) says about itself. `F` holds the facts that only
/// its family has: a rule's bound and claims, what an attack must see.
pub struct Entry<T: ?Sized + 'static, F: 'static = ()> {
    /// The one name, in lower case with hyphens: the same in code, configuration, legends.
    pub name: &'static str,
    /// One sentence: what it computes.
    pub summary: &'static str,
    /// Author, short title, venue, year, arXiv number; section or equation.
    pub paper: &'static str,
    /// Each deviation from the paper, a sentence.
    pub differs: &'static [&'static str],
    /// The parameters that it takes; others are refused.
    pub params: &'static [Param],
    /// The cost of one call in n, d, f.
    pub cost: &'static str,
    /// What only this family says.
    pub facts: F,
    /// Makes one, from parameters that were checked against `params`.
    pub build: fn(&Args) -> Result<Box<T>, SpecError>,
}

impl<T: ?Sized, F> Entry<T, F> {
    /// Makes one from a specification.
    ///
    /// # Errors
    /// If a parameter is unknown, malformed or out of range, or parameters contradict.
    pub fn make(&self, spec: &Spec) -> Result<Box<T>, SpecError> {
        self.make_beside(spec, &[])
    }

    /// The same where a parameter may name variants from outside, as `groups` of a mixed attack
    /// does: `own` is what [`Args::own`] then finds.
    ///
    /// # Errors
    /// As [`Entry::make`].
    pub fn make_beside(&self, spec: &Spec, own: &[AnyEntry]) -> Result<Box<T>, SpecError> {
        let args = spec.args(self.params)?.beside(own);
        (self.build)(&args).map_err(|error| error.at(self.name))
    }

    /// Whether the entry can be named and its defaults can be read: asked of entries that another
    /// crate wrote.
    ///
    /// # Errors
    /// Names the entry of family `what`, and what is wrong: a name that no text can spell, a
    /// parameter that is declared twice, a default that the parameter does not take.
    pub fn sound(&self, what: &str) -> Result<(), SpecError> {
        let name = self.name;
        if !spec::parse(name).is_ok_and(|read| read == Spec::bare(name)) {
            return Err(SpecError::new(format!(
                "a {what} goes by one word without | = and quotes; found \"{name}\""
            )));
        }
        for (i, param) in self.params.iter().enumerate() {
            if self.params[..i].iter().any(|other| other.name == param.name) {
                let twice = format!("the {what} {name} declares {} twice", param.name);
                return Err(SpecError::new(twice));
            }
            if param.default != "auto" {
                let place = format!("the {what} {name}: default");
                param.check(param.default).map_err(|error| error.at(place))?;
            }
        }
        Ok(())
    }
}

/// The entries of `list` and those that another crate wrote, which may then be named alike.
///
/// # Errors
/// If an own entry has the name of another, or is not [sound](Entry::sound).
pub fn among<T: ?Sized, F>(
    what: &str,
    list: &[&'static Entry<T, F>],
    own: &[&'static Entry<T, F>],
) -> Result<Vec<&'static Entry<T, F>>, SpecError> {
    let mut all = list.to_vec();
    for entry in own {
        if all.iter().any(|other| other.name == entry.name) {
            let name = entry.name;
            return Err(SpecError::new(format!("two {what}s are called \"{name}\"")));
        }
        entry.sound(what)?;
        all.push(entry);
    }
    Ok(all)
}

/// The entry called `name` in `list`.
///
/// # Errors
/// If there is none; suggests the nearest name.
pub fn find<T: ?Sized, F>(
    what: &str,
    list: &[&'static Entry<T, F>],
    name: &str,
) -> Result<&'static Entry<T, F>, SpecError> {
    list.iter().find(|entry| entry.name == name).copied().ok_or_else(|| {
        let known: Vec<&str> = list.iter().map(|entry| entry.name).collect();
        SpecError::unknown(what, name, &known)
    })
}

/// A parameter of a variant.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name as written before `=`.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default as one would write it, or "auto" where it is computed from n, f or d.
    pub default: &'static str,
    /// What it means, its unit, and what "auto" is.
    pub help: &'static str,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number in a range, ends included.
    Count {
        /// The least allowed.
        min: usize,
        /// The greatest allowed.
        max: usize,
    },
    /// A finite number in a range, ends included.
    Real {
        /// The least allowed.
        min: f64,
        /// The greatest allowed.
        max: f64,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// Any text; the variant itself reads it.
    Text,
}

/// A bound without long rows of zeros.
fn short(x: f64) -> String {
    match x.abs() {
        0.0 | 1e-4..1e9 => x.to_string(),
        _ => format!("{x:e}"),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::Count { min, max: usize::MAX } => write!(f, "a whole number from {min}"),
            Kind::Count { min, max } => write!(f, "a whole number from {min} to {max}"),
            Kind::Real { min, max } => {
                // The ends of the format stand for no end.
                let (low, high) = (min > f64::MIN, max < f64::MAX);
                match (low, high) {
                    (true, false) if min > 0.0 && min < 1e-300 => write!(f, "a number above 0"),
                    (true, true) => write!(f, "a number from {} to {}", short(min), short(max)),
                    (true, false) => write!(f, "a number from {}", short(min)),
                    (false, true) => write!(f, "a number up to {}", short(max)),
                    (false, false) => write!(f, "a number"),
                }
            }
            Kind::Choice(choices) => write!(f, "one of {}", choices.join(", ")),
            Kind::Flag => write!(f, "true or false"),
            Kind::Text => write!(f, "text"),
        }
    }
}
