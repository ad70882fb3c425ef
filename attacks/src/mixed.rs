//! Mixed adversaries: groups of hostile workers with different attacks in one run, such as
//! `mixed groups="2 alie z=1.5; 1 label-flip; * ipm"`. `*` takes the workers that are left.

use crate::{
    Attack, AttackEntry, AttackFacts, Ground, Labels, Probe, Samples, Sees, Trigger, View,
};
use varangian_base::spec::Args;
use varangian_base::{Kind, Matrix, Memory, Param, Rows, RowsMut, SpecError, Stream};

pub(crate) static ENTRY: AttackEntry = AttackEntry {
    name: "mixed",
    summary: "groups of hostile workers with different attacks",
    paper: "folklore",
    differs: &[],
    params: &[Param {
        name: "groups",
        kind: Kind::Text,
        default: "1 sign-flip; * alie",
        help: "a count and an attack for each group, separated by semicolons, in ascending worker id; * takes the rest",
    }],
    cost: "the sum over the groups",
    facts: AttackFacts {
        sees: Sees { own: true, ..Sees::HONEST },
        poisons: true,
        has_memory: true,
        wild: true,
    },
    build,
};

fn build(args: &Args) -> Result<Box<dyn Attack>, SpecError> {
    let (mut groups, own) = (Vec::new(), args.own::<AttackEntry>());
    for text in split(args.text("groups")) {
        let (count, attack) = text.trim().split_once(char::is_whitespace).ok_or_else(|| {
            SpecError::new(format!("a group is a count and an attack; found \"{}\"", text.trim()))
        })?;
        let count = match count {
            "*" => None,
            "0" => return Err(SpecError::new("a group has at least one worker; found 0")),
            count => Some(count.parse::<usize>().map_err(|_| {
                SpecError::new(format!("a group starts with a count or *; found \"{count}\""))
            })?),
        };
        let attack = crate::build_among(attack, &own)?;
        if let Some(rule) = attack.tries() {
            return Err(SpecError::new(format!(
                "a group tries its rows on the rule in force; found one that names {rule}"
            )));
        }
        groups.push(Group { count, attack });
    }
    if groups.iter().filter(|group| group.count.is_none()).count() > 1 {
        return Err(SpecError::new("only one group can take the rest (*)"));
    }
    Ok(Box::new(Mixed { groups }))
}

/// Splits at semicolons outside quotes and parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut depth, mut quote) = (Vec::new(), 0, 0, None);
    for (i, c) in text.char_indices() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(c),
            ('(', None) => depth += 1,
            (')', None) => depth -= 1,
            (';', None) if depth == 0 => {
                parts.push(&text[from..i]);
                from = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

struct Group {
    /// `None`: the rest.
    count: Option<usize>,
    attack: Box<dyn Attack>,
}

struct Mixed {
    groups: Vec<Group>,
}

impl Mixed {
    /// Where each group's workers start and end among `hostile` workers.
    fn bounds(&self, hostile: usize) -> Vec<(usize, usize)> {
        let fixed: usize = self.groups.iter().filter_map(|group| group.count).sum();
        let rest = hostile.saturating_sub(fixed);
        let mut at = 0;
        let bound = |group: &Group| {
            let from = at;
            at = (at + group.count.unwrap_or(rest)).min(hostile);
            (from, at)
        };
        self.groups.iter().map(bound).collect()
    }
}

/// What a group's trials see: the rows of all workers, those of the other groups as written so far.
struct Whole<'a> {
    probe: &'a mut dyn Probe,
    /// The rows of all hostile workers, and which of them are the group's.
    hostile: Matrix,
    ids: Vec<u32>,
    group: (usize, usize),
    honest: Rows<'a>,
    all: Matrix,
}

impl Probe for Whole<'_> {
    fn aggregate(&mut self, rows: Rows<'_>, out: &mut [f32]) {
        let h = self.honest.n();
        let own = crate::trial::worker_order(
            self.honest,
            self.hostile.rows().with_ids(&self.ids).head(self.group.1).tail(self.group.0),
        );
        let theirs = own.iter().enumerate().filter(|(_, (_, hostile, _))| *hostile);
        for (at, (_, _, i)) in theirs {
            self.hostile.row_mut(self.group.0 + i).copy_from_slice(rows.row(at));
        }
        let hostile = self.hostile.rows().with_ids(&self.ids);
        let order = crate::trial::worker_order(self.honest, hostile);
        self.all.resize(h + hostile.n(), hostile.d());
        for (at, &(_, theirs, i)) in order.iter().enumerate() {
            let row = if theirs { hostile.row(i) } else { self.honest.row(i) };
            self.all.row_mut(at).copy_from_slice(row);
        }
        let ids: Vec<u32> = order.iter().map(|&(id, _, _)| id).collect();
        let distinct = ids.windows(2).all(|w| w[0] < w[1]);
        let rows = self.all.rows();
        self.probe.aggregate(if distinct { rows.with_ids(&ids) } else { rows }, out);
    }

    fn loss_after(&mut self, aggregate: &[f32]) -> Option<f64> {
        self.probe.loss_after(aggregate)
    }
}

impl Mixed {
    /// The group of the `k`-th of `of` hostile workers.
    fn group_of(&self, k: usize, of: usize) -> Option<usize> {
        // The rest's size is unknown here, but where a worker stands among the groups is not.
        let fixed_before =
            |g: usize| -> usize { self.groups[..g].iter().filter_map(|group| group.count).sum() };
        let rest = self.groups.iter().position(|group| group.count.is_none());
        let after: usize =
            rest.map_or(0, |g| self.groups[g..].iter().filter_map(|group| group.count).sum());
        match rest {
            Some(g) if k >= fixed_before(g) && k + after < of => Some(g),
            Some(g) if k >= fixed_before(g) => {
                let k = k + after - of;
                (g + 1..self.groups.len()).find(|&i| k < fixed_before(i + 1) - fixed_before(g))
            }
            _ => (0..self.groups.len()).find(|&g| k < fixed_before(g + 1)),
        }
    }
}

impl Attack for Mixed {
    fn poison(&self, labels: Labels<'_>, stream: &mut Stream) {
        if let Some(g) = self.group_of(labels.hostile, labels.of) {
            self.groups[g].attack.poison(labels, stream);
        }
    }

    fn taint(&self, samples: Samples<'_>, stream: &mut Stream) {
        if let Some(g) = self.group_of(samples.labels.hostile, samples.labels.of) {
            self.groups[g].attack.taint(samples, stream);
        }
    }

    /// Of several groups with one, the first's.
    fn trigger(&self) -> Option<Trigger> {
        self.groups.iter().find_map(|group| group.attack.trigger())
    }

    fn keeps_momentum(&self, hostile: usize, of: usize) -> bool {
        let group = self.group_of(hostile, of);
        group.is_none_or(|g| self.groups[g].attack.keeps_momentum(hostile, of))
    }

    fn forge(&mut self, view: &mut View<'_>, mut out: RowsMut<'_>) {
        crate::none::honest(view, out.reborrow());
        let bounds = self.bounds(out.n());
        for (group, (from, to)) in self.groups.iter_mut().zip(bounds) {
            if from == to {
                continue;
            }
            let mut hostile = Matrix::default();
            if group.attack.sees().rule {
                hostile.copy_from(out.as_rows());
            } else {
                hostile.resize(out.n(), 0);
            }
            let ids = (0..out.n()).map(|i| view.own.id(i)).collect();
            let mut probe = Whole {
                probe: &mut *view.probe,
                hostile,
                ids,
                group: (from, to),
                honest: view.honest,
                all: Matrix::default(),
            };
            let (before, rest) = out.reborrow().split_at(from);
            let own = view.own.tail(from).head(to - from);
            let mut part = View { own, beside: before.as_rows(), probe: &mut probe, ..*view };
            let (rows, _) = rest.split_at(to - from);
            group.attack.forge(&mut part, rows);
        }
    }

    fn sees(&self) -> Sees {
        self.groups.iter().fold(Sees::OWN, |sees, group| sees.or(group.attack.sees()))
    }

    fn fork(&self) -> Box<dyn Attack> {
        let fork = |group: &Group| Group { count: group.count, attack: group.attack.fork() };
        Box::new(Mixed { groups: self.groups.iter().map(fork).collect() })
    }

    fn fits(&self, ground: Ground<'_>) -> Result<(), String> {
        self.groups.iter().try_for_each(|group| group.attack.fits(ground))
    }

    fn check(&self, honest: usize, hostile: usize, f: usize) -> Result<(), String> {
        let fixed: usize = self.groups.iter().filter_map(|group| group.count).sum();
        let open = self.groups.iter().any(|group| group.count.is_none());
        if fixed > hostile || (!open && fixed != hostile) {
            let what = if open { "at least" } else { "exactly" };
            return Err(format!("{what} {fixed} hostile workers for its groups"));
        }
        for (group, (from, to)) in self.groups.iter().zip(self.bounds(hostile)) {
            group.attack.check(honest, to - from, f)?;
        }
        Ok(())
    }

    fn save(&self) -> Memory {
        let mut memory = Memory::default();
        for (g, group) in self.groups.iter().enumerate() {
            memory.absorb(&g.to_string(), group.attack.save());
        }
        memory
    }

    fn load(&mut self, memory: &Memory) -> Result<(), SpecError> {
        for (g, group) in self.groups.iter_mut().enumerate() {
            group.attack.load(&memory.part(&g.to_string()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::Labels;
    use crate::scene::{HAND, close, forge};
    use varangian_base::{Domain, Seed};

    #[test]
    fn each_group_sends_its_own() {
        let own: &[&[f32]] = &[&[1.0, 1.0], &[2.0, 2.0], &[3.0, 3.0], &[4.0, 4.0]];
        let spec = "mixed groups=\"1 sign-flip; * ipm epsilon=2; 1 constant value=7\"";
        let sent = forge(spec, HAND, own, 4);
        assert_eq!((&sent[0][..], &sent[3][..]), (&[-1.0, -1.0][..], &[7.0, 7.0][..]));
        close(&sent[1], &[-4.0, -2.0]);
        close(&sent[2], &[-4.0, -2.0]);
    }

    #[test]
    fn labels_are_poisoned_in_their_group_alone() {
        let flipped = |spec: &str| -> Vec<usize> {
            let attack = crate::build(spec).unwrap();
            let flips = |hostile: usize| {
                let mut stream = Seed(0).stream(Domain::Attack, 0, 0);
                let mut labels = [1];
                let batch = Labels { labels: &mut labels, classes: 10, hostile, of: 6, step: 0 };
                attack.poison(batch, &mut stream);
                labels[0] == 8
            };
            (0..6).filter(|&k| flips(k)).collect()
        };
        assert_eq!(flipped("mixed groups=\"2 ipm; 1 label-flip; 3 ipm\""), [2]);
        assert_eq!(flipped("mixed groups=\"2 ipm; * label-flip; 1 ipm\""), [2, 3, 4]);
        assert_eq!(flipped("mixed groups=\"2 label-flip; * ipm; 1 ipm\""), [0, 1]);
        assert_eq!(flipped("mixed groups=\"1 ipm; * ipm; 1 ipm; 2 label-flip\""), [4, 5]);
    }

    #[test]
    fn a_group_without_momentum_leaves_the_others_theirs() {
        let attack =
            crate::build("mixed groups=\"2 ipm; * sign-flip momentum=none; 1 ipm\"").unwrap();
        let bare: Vec<usize> = (0..6).filter(|&k| !attack.keeps_momentum(k, 6)).collect();
        assert_eq!(bare, [2, 3, 4]);
        assert!(!attack.fork().keeps_momentum(3, 6));
    }

    #[test]
    fn groups_that_cannot_be_read_or_filled_are_refused() {
        let error = |groups: &str| {
            crate::build(&format!("mixed groups=\"{groups}\"")).err().unwrap().to_string()
        };
        assert!(error("alie").contains("a count and an attack"));
        assert!(error("x alie").contains("starts with a count"));
        assert!(error("* alie; * ipm").contains("only one group"));
        assert!(error("1 alei").contains("did you mean \"alie\""));
        let check = |groups: &str| {
            crate::build(&format!("mixed groups=\"{groups}\"")).unwrap().check(5, 3, 3)
        };
        assert_eq!(check("2 alie; 2 ipm").unwrap_err(), "exactly 4 hostile workers for its groups");
        assert!(check("2 alie; * ipm").is_ok() && check("3 alie").is_ok());
    }
}
