//! What a worker is told when it joins: the shapes, the codec and the limits of a run.

use crate::Trouble;
use crate::proto::{self, JoinReply};
use varangian_base::Seed;
use varangian_learn::Model;
use varangian_learn::optim::{Local, Message, Optimiser, Placement};
use varangian_train::Follower;
use varangian_train::wire::{Codec, Letter};

/// The most bytes of a chunk. Simulated messages are small, and come in several all the same.
pub(crate) const CHUNK: usize = if cfg!(feature = "sim") { 64 } else { 256 << 10 };

/// What every worker of a run is told.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The number of workers.
    pub n: usize,
    /// The settings of the run, as an experiment file.
    pub settings: String,
    /// The model's tensors, in order.
    pub layout: Vec<(String, Vec<usize>)>,
    /// The shape of a message.
    pub letter: Letter,
    /// Whether messages are judged one by one.
    pub asynchronous: bool,
    /// Steps that a worker makes by itself.
    pub local: Local,
    /// Whether messages are computed from the last aggregate too.
    pub previous: bool,
    /// Whether workers can follow by signs, and whether such a sign can be 0.
    pub updates: Option<bool>,
}

impl Terms {
    /// The terms of a run of this model and optimiser, in which rows travel by `codec`.
    pub fn of(
        (n, settings): (usize, String),
        model: &dyn Model,
        optimiser: &Optimiser,
        codec: Codec,
        rule: Option<&varangian_rules::Pipeline>,
    ) -> Self {
        let layout = model.tensors().iter().map(|t| (t.name.to_string(), t.shape.to_vec()));
        let letter = Letter { d: model.dim(), statistics: model.buffers(), codec };
        Terms {
            n,
            settings,
            layout: layout.collect(),
            letter,
            asynchronous: rule.is_none(),
            local: optimiser.local,
            previous: optimiser.momentum.placement == Placement::Server
                || matches!(optimiser.message, Message::Marina { .. }),
            updates: rule.and_then(|rule| Follower::can_follow(optimiser, rule)),
        }
    }

    pub(crate) fn reply(&self, run: u64, worker: u32, key: &[u8]) -> JoinReply {
        let (codec, kept) = coded(self.letter.codec);
        let tensor = |(name, shape): &(String, Vec<usize>)| proto::Tensor {
            name: name.clone(),
            shape: shape.iter().map(|&size| size as u64).collect(),
        };
        JoinReply {
            protocol: 1,
            run,
            worker,
            n: self.n as u32,
            settings: self.settings.clone(),
            d: self.letter.d as u64,
            layout: self.layout.iter().map(tensor).collect(),
            statistics: self.letter.statistics as u64,
            codec: codec.into(),
            kept,
            mask_seed: match self.letter.codec {
                Codec::Masked { seed, .. } => seed.0,
                _ => 0,
            },
            message_bytes: self.letter.most() as u64,
            chunk_bytes: CHUNK as u32,
            asynchronous: self.asynchronous,
            local_steps: self.local.steps,
            local_rate: self.local.rate.unwrap_or(0.0),
            previous: self.previous,
            updates: self.updates.is_some(),
            receipt_key: key.to_vec().into(),
            next: 0,
        }
    }

    /// The terms that a server's answer gives.
    ///
    /// # Errors
    /// If it speaks another protocol, or numbers that nobody can mean.
    pub(crate) fn read(reply: &JoinReply) -> Result<Self, Trouble> {
        if reply.protocol != 1 {
            let found = reply.protocol;
            return Err(Trouble(format!("this worker speaks protocol 1; the server {found}")));
        }
        let size = |what: &str, value: u64| {
            usize::try_from(value).ok().filter(|&value| value <= 1 << 36).ok_or_else(|| {
                Trouble(format!("{what} of the server is at most 2^36; found {value}"))
            })
        };
        let (d, kept) = (size("d", reply.d)?, size("kept", reply.kept)?);
        let codec = decoded(reply.codec(), kept, reply.mask_seed)?;
        let letter = Letter { d, statistics: size("statistics", reply.statistics)?, codec };
        let sizes = |tensor: &proto::Tensor| tensor.shape.iter().map(|&s| s as usize).collect();
        Ok(Terms {
            n: reply.n as usize,
            settings: reply.settings.clone(),
            layout: reply.layout.iter().map(|t| (t.name.clone(), sizes(t))).collect(),
            letter,
            asynchronous: reply.asynchronous,
            local: Local {
                steps: reply.local_steps,
                rate: (reply.local_rate > 0.0).then_some(reply.local_rate),
            },
            previous: reply.previous,
            updates: reply.updates.then_some(false),
        })
    }

    /// Whether a model is the one that is trained here: tensors of the same shapes, in order. Names
    /// may differ, as frameworks give their own.
    ///
    /// # Errors
    /// The first tensor that differs.
    pub fn fits(&self, model: &dyn Model) -> Result<(), Trouble> {
        let own = model.tensors();
        for (k, ((name, shape), tensor)) in self.layout.iter().zip(own).enumerate() {
            if *shape != tensor.shape {
                return Err(Trouble(format!(
                    "the server trains a model whose tensor {k} is {name} {shape:?}; this \
                     worker's is {} {:?}",
                    tensor.name, tensor.shape
                )));
            }
        }
        if (own.len(), model.dim()) != (self.layout.len(), self.letter.d) {
            return Err(Trouble(format!(
                "the server's model has {} tensors and {} parameters; this worker's {} and {}",
                self.layout.len(),
                self.letter.d,
                own.len(),
                model.dim()
            )));
        }
        if model.buffers() != self.letter.statistics {
            return Err(Trouble(format!(
                "the server's model keeps {} running statistics; this worker's {}",
                self.letter.statistics,
                model.buffers()
            )));
        }
        Ok(())
    }
}

/// A codec as the protocol names it, and the coordinates or levels of a message.
fn coded(codec: Codec) -> (proto::Codec, u64) {
    match codec {
        Codec::F32 => (proto::Codec::F32, 0),
        Codec::Bf16 => (proto::Codec::Bf16, 0),
        Codec::F16 => (proto::Codec::F16, 0),
        Codec::Signs { ternary: false } => (proto::Codec::Signs, 0),
        Codec::Signs { ternary: true } => (proto::Codec::TernarySigns, 0),
        Codec::TopK { kept } => (proto::Codec::TopK, kept as u64),
        Codec::Masked { kept, .. } => (proto::Codec::Masked, kept as u64),
        Codec::Quantised { levels } => (proto::Codec::Quantised, u64::from(levels)),
    }
}

fn decoded(codec: proto::Codec, kept: usize, seed: u64) -> Result<Codec, Trouble> {
    Ok(match codec {
        proto::Codec::F32 => Codec::F32,
        proto::Codec::Bf16 => Codec::Bf16,
        proto::Codec::F16 => Codec::F16,
        proto::Codec::Signs => Codec::Signs { ternary: false },
        proto::Codec::TernarySigns => Codec::Signs { ternary: true },
        proto::Codec::TopK => Codec::TopK { kept },
        proto::Codec::Masked => Codec::Masked { kept, seed: Seed(seed), step: 0 },
        proto::Codec::Quantised => match u32::try_from(kept) {
            Ok(levels @ 1..=255) => Codec::Quantised { levels },
            _ => {
                return Err(Trouble(format!("levels of the server are 1 to 255; found {kept}")));
            }
        },
        proto::Codec::Unspecified => {
            return Err(Trouble::new("the server names no codec that this worker knows"));
        }
    })
}
