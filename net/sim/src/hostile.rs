//! Hostile and clumsy workers' hosts: what no client of ours would send.

use crate::draw::Draw;
use crate::history::Event;
use crate::model::D;
use crate::scenario::Nature;
use crate::stage::Stage;
use crate::street;
use bytes::Bytes;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use varangian_net::proto::parameter_server_client::ParameterServerClient;
use varangian_net::proto::{
    JoinRequest, PullRequest, PushHeader, PushRequest, Receipt, WatchRequest, pull_reply,
    push_request::Part,
};
use varangian_train::wire::Letter;

/// Bytes of a chunk, as the server takes them in a simulation.
const CHUNK: usize = 64;

/// A worker that is what its nature says.
struct Villain {
    stage: Rc<Stage>,
    id: u32,
    nature: Nature,
    stub: ParameterServerClient<Channel>,
    draw: Draw,
    run: u64,
    /// The number of its next message, where the server is asynchronous.
    number: u64,
}

/// Its process, which begins anew whenever something fails.
pub async fn process(stage: Rc<Stage>, id: u32, nature: Nature) -> turmoil::Result {
    let draw = Draw::new(stage.scenario.seed, &format!("villain {id} {}", stage.millis()));
    let ten = Duration::from_secs(10);
    let to = Endpoint::from_static("http://server").connect_timeout(Duration::from_secs(5));
    let to = to.http2_keep_alive_interval(ten).keep_alive_timeout(ten).keep_alive_while_idle(true);
    let stub = ParameterServerClient::new(street::channel(&to, id));
    let mut villain = Villain { stage, id, nature, stub, draw, run: 0, number: 0 };
    loop {
        // That it fails is its own affair; the server must not.
        let _ = villain.play().await;
        sleep(Duration::from_millis(400)).await;
    }
}

impl Villain {
    fn asks<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("varangian-worker", self.id.into());
        request.set_timeout(Duration::from_secs(60));
        request
    }

    async fn play(&mut self) -> Result<(), Status> {
        let message = JoinRequest { protocols: vec![1], agent: "villain".into() };
        let joined = self.stub.clone().join(self.asks(message)).await?.into_inner();
        (self.run, self.number) = (joined.run, 0);
        let watch = WatchRequest { run: self.run };
        let mut notices = self.stub.clone().watch(self.asks(watch)).await?.into_inner();
        self.stage.note(Event::Joined(self.id));
        if self.nature == Nature::Silent {
            while notices.message().await?.is_some() {}
            return Ok(());
        }
        let mut next = 0;
        while let Some(version) = self.news(next).await? {
            sleep(Duration::from_millis(self.draw.within(20..=300))).await;
            let number = if self.stage.scenario.asynchronous { self.number } else { version };
            self.number += 1;
            // A refusal by a status ends no series of tries.
            let _ = self.answer(version, number).await;
            next = if self.stage.scenario.asynchronous { 0 } else { version + 1 };
        }
        Ok(())
    }

    /// The version that is open; nothing where the run is over.
    async fn news(&mut self, version: u64) -> Result<Option<u64>, Status> {
        let ask = PullRequest { run: self.run, version, ..PullRequest::default() };
        let mut stream = self.stub.clone().pull(self.asks(ask)).await?.into_inner();
        let first = stream.message().await?.and_then(|reply| reply.part);
        let Some(pull_reply::Part::Header(header)) = first else { return Ok(None) };
        while stream.message().await?.is_some() {}
        Ok((!header.finished).then_some(if header.not_modified { version } else { header.version }))
    }

    /// A row of this length, as bytes.
    fn body(&mut self, odd: f32) -> Bytes {
        let mut row: Vec<f32> = (0..D).map(|_| self.draw.between(-9.0, 9.0) as f32).collect();
        if odd != 0.0 {
            row[self.draw.within(0..=D as u64 - 1) as usize] = odd;
        }
        let codec = self.stage.scenario.codec;
        let mut kept = row.iter().map(|_| false).collect::<Vec<_>>();
        kept[..codec.len(D).min(8 * D) / 8].fill(true);
        if let varangian_train::wire::Codec::TopK { .. } = codec {
            row.iter_mut().zip(&kept).for_each(|(x, kept)| *x = if *kept { *x } else { 0.0 });
        }
        Letter { d: D, statistics: 0, codec }.encode(&row, &[]).into()
    }

    async fn answer(&mut self, version: u64, number: u64) -> Result<(), Status> {
        let plain = self.body(0.0);
        match self.nature {
            Nature::NotFinite => {
                let odd = *self.draw.pick(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
                let body = self.body(odd);
                self.push((self.run, version, number), &body).await?;
            }
            Nature::Equivocal => {
                self.push((self.run, version, number), &plain).await?;
                let other = self.body(0.0);
                self.push((self.run, version, number), &other).await?;
            }
            Nature::Misshapen => {
                let length = self.draw.within(0..=2 * plain.len() as u64) as usize;
                let body = vec![0x5a; length].into();
                self.push((self.run, version, number), &body).await?;
            }
            Nature::Untimely => {
                let off = self.draw.within(0..=3);
                self.push((self.run, version.saturating_sub(off), number), &plain).await?;
                self.push((self.run, version + off + 1, number + off + 1), &plain).await?;
                self.push((self.run ^ 1, version, number), &plain).await?;
            }
            Nature::Cutting if number.is_multiple_of(2) => {
                let whole = self.parts((self.run, version, number), &plain);
                let parts = whole[..self.draw.within(1..=whole.len() as u64 - 1) as usize].to_vec();
                self.stub.clone().push(self.asks(tokio_stream::iter(parts))).await?;
            }
            Nature::Repeating => {
                let mut first: Option<Receipt> = None;
                for _ in 0..3 {
                    let receipt = self.push((self.run, version, number), &plain).await?;
                    let same = first.get_or_insert_with(|| receipt.clone());
                    let late = receipt.reason == "wrong-step";
                    assert!(late || *same == receipt, "{same:?} and then {receipt:?}");
                }
            }
            Nature::Slow => {
                let mut parts = self.parts((self.run, version, number), &plain);
                let last = parts.pop().expect("there are some");
                let first = tokio_stream::iter(parts);
                let late = tokio_stream::once(last);
                let late = tokio_stream::StreamExt::then(late, |last| async move {
                    sleep(Duration::from_secs(25)).await;
                    last
                });
                let parts = tokio_stream::StreamExt::chain(first, late);
                self.stub.clone().push(self.asks(parts)).await?;
            }
            _ => {
                self.push((self.run, version, number), &plain).await?;
            }
        }
        Ok(())
    }

    fn parts(&self, about: (u64, u64, u64), body: &Bytes) -> Vec<PushRequest> {
        let (run, version, number) = about;
        self.stage.sent(self.id, about, body);
        let digest = blake3::hash(body).as_bytes().to_vec().into();
        let bytes = body.len() as u64;
        let header = PushHeader { run, version, number, bytes, digest, loss: f64::NAN };
        let starts = (0..body.len()).step_by(CHUNK);
        let chunks = starts.map(|from| body.slice(from..(from + CHUNK).min(body.len())));
        std::iter::once(Part::Header(header))
            .chain(chunks.map(Part::Chunk))
            .map(|part| PushRequest { part: Some(part) })
            .collect()
    }

    async fn push(&self, about: (u64, u64, u64), body: &Bytes) -> Result<Receipt, Status> {
        let parts = tokio_stream::iter(self.parts(about, body));
        Ok(self.stub.clone().push(self.asks(parts)).await?.into_inner())
    }
}
