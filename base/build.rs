//! Writes the sorting networks of common sizes as straight-line x86-64 assembly, one value a
//! register. As text it compiles in no time, at any optimisation level, and the registers of the
//! larger networks are chosen here, where every later use is known.

#[path = "src/kernels/network.rs"]
mod network;

use network::{Network, Read, network};
use std::fmt::Write as _;
use std::path::Path;

/// The sizes that get straight-line code; other n up to the last are padded to the next one.
const SIZES: [usize; 14] = [5, 8, 10, 12, 16, 20, 25, 28, 32, 40, 48, 51, 56, 64];

/// An instruction set as the assembler names it.
struct Target {
    name: &'static str,
    feature: &'static str,
    register: &'static str,
    memory: &'static str,
    bytes: usize,
    /// Registers that hold wires; where more exist, the next two hold +0 and +∞.
    registers: usize,
    constants: bool,
}

const TARGETS: [Target; 2] = [
    Target {
        name: "avx2",
        feature: "avx2",
        register: "ymm",
        memory: "ymmword",
        bytes: 32,
        registers: 16,
        constants: false,
    },
    Target {
        name: "avx512",
        feature: "avx512f",
        register: "zmm",
        memory: "zmmword",
        bytes: 64,
        registers: 30,
        constants: true,
    },
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/kernels/network.rs");
    let mut code = String::new();
    writeln!(code, "const SIZES: &[usize] = &{SIZES:?};").unwrap();
    for target in &TARGETS {
        for n in SIZES {
            let middle = (n - 2) / 2;
            write_network(&mut code, target, "middle", n, middle..middle + 2);
            write_network(&mut code, target, "sort", n, 0..n);
        }
        write_table(&mut code, target, "middle");
        write_table(&mut code, target, "sort");
    }
    let folder = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&folder).join("networks.rs"), code).expect("OUT_DIR is writable");
}

fn write_network(
    code: &mut String,
    target: &Target,
    kind: &str,
    n: usize,
    ranks: std::ops::Range<usize>,
) {
    let Target { name, feature, register, .. } = target;
    let lines = Allocator::new(target, network(n, ranks.start, ranks.end), ranks).assemble();
    writeln!(code, "#[cfg(target_arch = \"x86_64\")]\n#[target_feature(enable = \"{feature}\")]")
        .unwrap();
    writeln!(
        code,
        "unsafe fn {name}_{kind}_{n}(rows: *const *const f32, k: usize, to: *mut f32) {{"
    )
    .unwrap();
    writeln!(
        code,
        "// SAFETY: reads one vector of each row, writes the ranks; all given by the caller."
    )
    .unwrap();
    writeln!(code, "unsafe {{ std::arch::asm!(").unwrap();
    for line in lines {
        writeln!(code, "\"{line}\",").unwrap();
    }
    writeln!(code, "rows = in(reg) rows, k = in(reg) k, to = in(reg) to,").unwrap();
    writeln!(code, "bounds = in(reg) &BOUNDS, row = out(reg) _,").unwrap();
    for r in 0..target.registers + if target.constants { 2 } else { 0 } {
        write!(code, "out(\"{register}{r}\") _, ").unwrap();
    }
    writeln!(code, "options(nostack, preserves_flags)) }} }}").unwrap();
}

fn write_table(code: &mut String, target: &Target, kind: &str) {
    let (name, upper) = (target.name, kind.to_uppercase());
    writeln!(code, "#[cfg(target_arch = \"x86_64\")]").unwrap();
    write!(code, "static {}_{upper}: [Straight; {}] = [", name.to_uppercase(), SIZES.len())
        .unwrap();
    for n in SIZES {
        write!(code, "{name}_{kind}_{n}, ").unwrap();
    }
    writeln!(code, "];").unwrap();
}

/// Where a wire's value is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Row,
    Register(usize),
    Spilled,
    Gone,
}

/// Gives registers to wires; of those in registers, the one used last is spilled first.
struct Allocator<'a> {
    target: &'a Target,
    network: Network,
    ranks: std::ops::Range<usize>,
    place: Vec<Place>,
    owner: Vec<Option<usize>>,
    lines: Vec<String>,
}

impl<'a> Allocator<'a> {
    fn new(target: &'a Target, network: Network, ranks: std::ops::Range<usize>) -> Self {
        let place = vec![Place::Row; network.order.len()];
        let owner = vec![None; target.registers];
        Allocator { target, network, ranks, place, owner, lines: Vec::new() }
    }

    fn assemble(mut self) -> Vec<String> {
        if self.target.constants {
            let (zero, most) = (self.target.registers, self.target.registers + 1);
            self.emit(format!("vxorps xmm{zero}, xmm{zero}, xmm{zero}"));
            self.emit(format!("vmovups zmm{most}, zmmword ptr [{{bounds}}]"));
        }
        for at in 0..self.network.comparators.len() {
            self.comparator(at);
        }
        self.lines
    }

    fn comparator(&mut self, at: usize) {
        let c = self.network.comparators[at];
        let a = self.bring(c.a, at, &[c.a, c.b]);
        let b = self.bring(c.b, at, &[c.a, c.b]);
        let reg = self.target.register;
        match c.read {
            Read::Both => {
                let least = self.free(at, &[c.a, c.b]);
                self.emit(format!("vminps {reg}{least}, {reg}{a}, {reg}{b}"));
                self.emit(format!("vmaxps {reg}{b}, {reg}{a}, {reg}{b}"));
                self.owner[a] = None;
                self.give(c.a, least);
                self.finish(c.a, at);
                self.finish(c.b, at);
            }
            Read::Least => {
                self.emit(format!("vminps {reg}{a}, {reg}{a}, {reg}{b}"));
                self.drop(c.b);
                self.finish(c.a, at);
            }
            Read::Greatest => {
                self.emit(format!("vmaxps {reg}{b}, {reg}{a}, {reg}{b}"));
                self.drop(c.a);
                self.finish(c.b, at);
            }
        }
    }

    /// The register of `wire`, brought there if it is elsewhere.
    fn bring(&mut self, wire: usize, at: usize, keep: &[usize]) -> usize {
        if let Place::Register(r) = self.place[wire] {
            return r;
        }
        let r = self.free(at, keep);
        let Target { register: reg, memory, registers, constants, .. } = *self.target;
        if self.place[wire] == Place::Spilled {
            self.emit(format!("vmovups {reg}{r}, {memory} ptr {}", self.slot(wire)));
        } else {
            // −0 as +0 by adding +0; NaN as +∞, since `vminps` answers its second operand then.
            let (zero, most) = (registers, registers + 1);
            let value = format!("{memory} ptr [{{row}} + 4*{{k}}]");
            self.emit(format!("mov {{row}}, qword ptr [{{rows}} + {}]", wire * 8));
            self.emit("prefetcht0 byte ptr [{row} + 4*{k} + AHEAD]".replace("AHEAD", "1024"));
            if constants {
                self.emit(format!("vaddps {reg}{r}, {reg}{zero}, {value}"));
                self.emit(format!("vminps {reg}{r}, {reg}{r}, {reg}{most}"));
            } else {
                self.emit(format!("vmovups {reg}{r}, {value}"));
                self.emit(format!("vaddps {reg}{r}, {reg}{r}, {memory} ptr [{{bounds}} + 64]"));
                self.emit(format!("vminps {reg}{r}, {reg}{r}, {memory} ptr [{{bounds}}]"));
            }
        }
        self.give(wire, r);
        r
    }

    /// A free register; spills the wire whose next use is farthest, but none of `keep`.
    fn free(&mut self, at: usize, keep: &[usize]) -> usize {
        if let Some(r) = self.owner.iter().position(Option::is_none) {
            return r;
        }
        let candidates = self.owner.iter().flatten().filter(|wire| !keep.contains(wire));
        let wire = *candidates.max_by_key(|&&wire| self.next_use(wire, at)).expect("some register");
        let Place::Register(r) = self.place[wire] else { unreachable!("it owns a register") };
        self.store(wire, r);
        self.owner[r] = None;
        self.place[wire] = Place::Spilled;
        r
    }

    fn next_use(&self, wire: usize, at: usize) -> Option<usize> {
        let later = &self.network.comparators[at + 1..];
        later.iter().position(|c| c.a == wire || c.b == wire)
    }

    /// After its last use a wire of a wanted rank is stored, and its register is free.
    fn finish(&mut self, wire: usize, at: usize) {
        if self.next_use(wire, at).is_none() {
            let Place::Register(r) = self.place[wire] else { unreachable!("it was just used") };
            assert!(self.ranks.contains(&self.rank(wire)), "pruned networks end in wanted ranks");
            self.store(wire, r);
            self.drop(wire);
        }
    }

    fn drop(&mut self, wire: usize) {
        if let Place::Register(r) = self.place[wire] {
            self.owner[r] = None;
        }
        self.place[wire] = Place::Gone;
    }

    fn give(&mut self, wire: usize, r: usize) {
        self.owner[r] = Some(wire);
        self.place[wire] = Place::Register(r);
    }

    fn store(&mut self, wire: usize, r: usize) {
        let Target { register, memory, .. } = self.target;
        let line = format!("vmovups {memory} ptr {}, {register}{r}", self.slot(wire));
        self.emit(line);
    }

    fn rank(&self, wire: usize) -> usize {
        self.network.order.iter().position(|&w| w == wire).expect("every wire has a rank")
    }

    /// Where a wire's value goes, in between and at the end: the place of its rank.
    fn slot(&self, wire: usize) -> String {
        format!("[{{to}} + {}]", self.rank(wire) * self.target.bytes)
    }

    fn emit(&mut self, line: String) {
        self.lines.push(line);
    }
}
