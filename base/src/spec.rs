//! One spelling everywhere: `"nnm | multi-krum m=3"` in TOML, on the command line, in Python, in legends.
//!
//! A chain is one or more stages separated by `|`; a stage is a name and `key=value` pairs. A value
//! that holds spaces, `|` or `=` is quoted with `"…"` or `'…'` or stands in balanced `(…)`.
//!
//! ```
//! use varangian_base::spec::{parse, parse_chain};
//! let chain = parse_chain("nnm | multi-krum m=3").unwrap();
//! assert_eq!((chain[0].name.as_str(), chain[1].name.as_str()), ("nnm", "multi-krum"));
//! assert_eq!(chain[1].pairs, [("m".to_string(), "3".to_string())]);
//! assert_eq!(parse("multi-krum  m=3").unwrap().to_string(), "multi-krum m=3");
//! assert!(parse_chain("nnm | ").is_err());
//! ```

use crate::SpecError;
use crate::entry::{AnyEntry, Kind, Param};
use std::collections::BTreeMap;
use std::fmt;

/// A name with parameters as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The variant's name.
    pub name: String,
    /// The parameters in the order they were written.
    pub pairs: Vec<(String, String)>,
}

impl Spec {
    /// A name without parameters.
    pub fn bare(name: &str) -> Self {
        Spec { name: name.to_owned(), pairs: Vec::new() }
    }

    /// The parameters, each known, well-formed, in range and given once.
    ///
    /// # Errors
    /// Names the variant, the parameter, what it takes and what was found.
    pub fn args(&self, params: &'static [Param]) -> Result<Args, SpecError> {
        let mut given = BTreeMap::new();
        for (key, value) in &self.pairs {
            let Some(param) = params.iter().find(|p| p.name == key) else {
                let known: Vec<&str> = params.iter().map(|p| p.name).collect();
                if known.is_empty() {
                    return Err(SpecError::new(format!(
                        "{} takes no parameters; found \"{key}\"",
                        self.name
                    )));
                }
                return Err(SpecError::unknown(
                    &format!("parameter of {}", self.name),
                    key,
                    &known,
                ));
            };
            param.check(value).map_err(|e| e.at(&self.name))?;
            if given.insert(param.name, value.clone()).is_some() {
                return Err(SpecError::new(format!("{}: {key} is given twice", self.name)));
            }
        }
        Ok(Args { params, given, own: Vec::new() })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (key, value) in &self.pairs {
            let plain =
                !value.is_empty() && !value.contains([' ', '|', '=', '"', '\'', '(', ')', ';']);
            match plain {
                true => write!(f, " {key}={value}")?,
                false if value.contains('"') => write!(f, " {key}='{value}'")?,
                false => write!(f, " {key}=\"{value}\"")?,
            }
        }
        Ok(())
    }
}

/// Parameters that were checked against what the variant takes. Reading one that the variant does
/// not declare is a bug of the variant, hence a panic; conformance builds every entry.
#[derive(Clone, Debug)]
pub struct Args {
    params: &'static [Param],
    given: BTreeMap<&'static str, String>,
    own: Vec<AnyEntry>,
}

impl Args {
    /// The same, with entries from outside that a parameter may name.
    pub(crate) fn beside(self, own: &[AnyEntry]) -> Self {
        Args { own: own.to_vec(), ..self }
    }

    /// The entries of type `E` from outside that a parameter may name beside those of the lists.
    pub fn own<E: 'static>(&self) -> Vec<&'static E> {
        self.own.iter().filter_map(|entry| entry.downcast_ref()).collect()
    }

    /// The text of a parameter: as given or its default. "auto" reads as `None`.
    fn text_or_auto(&self, name: &str) -> Option<&str> {
        let param = self.params.iter().find(|p| p.name == name);
        let param = param.unwrap_or_else(|| panic!("no parameter \"{name}\" is declared"));
        let text = self.given.get(name).map_or(param.default, String::as_str);
        (text != "auto").then_some(text)
    }

    /// A count, or `None` for "auto".
    pub fn count(&self, name: &str) -> Option<usize> {
        self.text_or_auto(name).map(|text| text.parse().expect("checked"))
    }

    /// A real number, or `None` for "auto".
    pub fn real(&self, name: &str) -> Option<f64> {
        self.text_or_auto(name).map(|text| text.parse().expect("checked"))
    }

    /// A flag.
    pub fn flag(&self, name: &str) -> bool {
        self.text_or_auto(name) == Some("true")
    }

    /// A choice or a text; "auto" reads as "auto".
    pub fn text(&self, name: &str) -> &str {
        self.text_or_auto(name).unwrap_or("auto")
    }

    /// Whether the variant takes such a parameter.
    pub fn is_declared(&self, name: &str) -> bool {
        self.params.iter().any(|p| p.name == name)
    }

    /// Whether the parameter was written rather than left at its default.
    pub fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }
}

impl Param {
    /// Whether `value` is well-formed and in range.
    pub(crate) fn check(&self, value: &str) -> Result<(), SpecError> {
        if value == "auto" && self.default == "auto" {
            return Ok(());
        }
        let wants = self.kind.to_string();
        let bad = || SpecError::new(format!("{} takes {wants}; found \"{value}\"", self.name));
        match self.kind {
            Kind::Count { min, max } => {
                let x: usize = value.parse().map_err(|_| bad())?;
                (min..=max).contains(&x).then_some(()).ok_or_else(bad)
            }
            Kind::Real { min, max } => {
                let x: f64 = value.parse().map_err(|_| bad())?;
                (x.is_finite() && min <= x && x <= max).then_some(()).ok_or_else(bad)
            }
            Kind::Choice(choices) => choices.contains(&value).then_some(()).ok_or_else(bad),
            Kind::Flag => ["true", "false"].contains(&value).then_some(()).ok_or_else(bad),
            Kind::Text => Ok(()),
        }
    }
}

/// Reads a chain of stages.
///
/// # Errors
/// Says which stage is malformed and why.
pub fn parse_chain(text: &str) -> Result<Vec<Spec>, SpecError> {
    if text.len() > LONGEST {
        let why = format!("at most {LONGEST} bytes are read; found {}", text.len());
        return Err(malformed(text, &why));
    }
    let mut stages = Vec::new();
    let mut pairs: Vec<Vec<Word>> = vec![Vec::new()];
    for word in words(text)? {
        match word {
            Word::Bar => pairs.push(Vec::new()),
            other => pairs.last_mut().expect("never empty").push(other),
        }
    }
    for words in pairs {
        let mut words = words.into_iter();
        let name = match words.next() {
            Some(Word::Bare(name)) => name,
            Some(_) => return Err(malformed(text, "a stage starts with a name, not a parameter")),
            None => return Err(malformed(text, "a stage is empty")),
        };
        let mut stage = Spec { name, pairs: Vec::new() };
        for word in words {
            match word {
                Word::Pair(key, value) => stage.pairs.push((key, value)),
                Word::Bare(word) => {
                    let text_of = format!("\"{word}\" is not a parameter of the form key=value");
                    return Err(malformed(text, &text_of));
                }
                Word::Bar => unreachable!("bars were split off"),
            }
        }
        stages.push(stage);
    }
    Ok(stages)
}

/// Reads a single stage.
///
/// # Errors
/// If the text is malformed or is a chain.
pub fn parse(text: &str) -> Result<Spec, SpecError> {
    let mut chain = parse_chain(text)?;
    match chain.len() {
        1 => Ok(chain.remove(0)),
        k => Err(malformed(text, &format!("one stage is wanted, {k} were found"))),
    }
}

fn malformed(text: &str, why: &str) -> SpecError {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    SpecError::new(format!("cannot read \"{short}\": {why}"))
}

/// The longest text of a variant, in bytes.
const LONGEST: usize = 1 << 16;

enum Word {
    Bar,
    Bare(String),
    Pair(String, String),
}

fn words(text: &str) -> Result<Vec<Word>, SpecError> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '|' {
            out.push(Word::Bar);
            rest = rest[1..].trim_start();
            continue;
        }
        let end =
            rest.find(|c: char| c.is_whitespace() || c == '|' || c == '=').unwrap_or(rest.len());
        let name = &rest[..end];
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix('=') {
            if name.is_empty() {
                return Err(malformed(text, "a parameter has no name"));
            }
            let (value, after) = value(text, after)?;
            out.push(Word::Pair(name.to_owned(), value));
            rest = after;
        } else {
            out.push(Word::Bare(name.to_owned()));
        }
        rest = rest.trim_start();
    }
    Ok(out)
}

/// The value at the start of `rest`, and what follows it.
fn value<'a>(text: &str, rest: &'a str) -> Result<(String, &'a str), SpecError> {
    let mut chars = rest.char_indices();
    match chars.next() {
        Some((_, quote @ ('"' | '\''))) => {
            let end =
                rest[1..].find(quote).ok_or_else(|| malformed(text, "a quote is not closed"))?;
            Ok((rest[1..=end].to_owned(), &rest[end + 2..]))
        }
        Some((_, '(')) => {
            let mut depth = 1;
            for (i, c) in chars {
                depth += i32::from(c == '(') - i32::from(c == ')');
                if depth == 0 {
                    return Ok((rest[1..i].to_owned(), &rest[i + 1..]));
                }
            }
            Err(malformed(text, "a parenthesis is not closed"))
        }
        _ => {
            let end = rest.find(|c: char| c.is_whitespace() || c == '|').unwrap_or(rest.len());
            if end == 0 {
                return Err(malformed(text, "a parameter has no value"));
            }
            Ok((rest[..end].to_owned(), &rest[end..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARAMS: &[Param] = &[
        Param { name: "m", kind: Kind::Count { min: 1, max: 9 }, default: "auto", help: "" },
        Param { name: "z", kind: Kind::Real { min: 0.0, max: 8.0 }, default: "1.5", help: "" },
        Param { name: "mode", kind: Kind::Choice(&["a", "b"]), default: "a", help: "" },
        Param { name: "on", kind: Kind::Flag, default: "false", help: "" },
    ];

    fn error(text: &str) -> String {
        match parse(text).and_then(|spec| spec.args(PARAMS)) {
            Ok(args) => panic!("{args:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn parameters_are_read_by_kind_and_defaults_fill_in() {
        let args = parse("krum m=3 on=true").unwrap().args(PARAMS).unwrap();
        assert_eq!((args.count("m"), args.real("z")), (Some(3), Some(1.5)));
        assert_eq!((args.text("mode"), args.flag("on")), ("a", true));
        assert!(args.is_given("m") && !args.is_given("z"));
        assert_eq!(parse("krum").unwrap().args(PARAMS).unwrap().count("m"), None);
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        assert_eq!(error("krum q=3"), "unknown parameter of krum \"q\"; known: m, z, mode, on");
        assert_eq!(
            error("krum mod=b"),
            "unknown parameter of krum \"mod\"; did you mean \"mode\"?"
        );
        assert_eq!(error("krum m=0"), "krum: m takes a whole number from 1 to 9; found \"0\"");
        assert_eq!(error("krum z=NaN"), "krum: z takes a number from 0 to 8; found \"NaN\"");
        assert_eq!(error("krum mode=c"), "krum: mode takes one of a, b; found \"c\"");
        assert_eq!(error("krum m=1 m=2"), "krum: m is given twice");
        assert_eq!(
            error("krum m"),
            "cannot read \"krum m\": \"m\" is not a parameter of the form key=value"
        );
        assert_eq!(error("krum m="), "cannot read \"krum m=\": a parameter has no value");
        assert_eq!(error(""), "cannot read \"\": a stage is empty");
        assert_eq!(error("a | b"), "cannot read \"a | b\": one stage is wanted, 2 were found");
        assert_eq!(
            error("m=3"),
            "cannot read \"m=3\": a stage starts with a name, not a parameter"
        );
        assert_eq!(error("krum m=(1"), "cannot read \"krum m=(1\": a parenthesis is not closed");
    }

    #[test]
    fn quoted_and_nested_values_survive_a_round_trip() {
        for text in ["mixed groups=\"2 alie z=1.5; 1 ipm\"", "a b=(c d=1 | e)"] {
            let spec = parse(text).unwrap();
            assert_eq!(parse(&spec.to_string()).unwrap(), spec);
        }
        assert_eq!(parse("a b=(c (d) e)").unwrap().pairs[0].1, "c (d) e");
    }
}
