//! What a server that is told of messages one by one says of each worker.

use varangian_base::Seed;
use varangian_learn::optim::Optimiser;
use varangian_rules::{Evidence, Pipeline, Standing};
use varangian_train::{NonFinite, Server, Settings};

fn server(n: usize, f: usize, silence_is_hostile: bool) -> Server {
    let settings = Settings {
        n,
        f,
        weights: None,
        participation: None,
        non_finite: NonFinite::default(),
        rule: Pipeline::parse("multi-krum m=2").unwrap(),
        optimiser: Optimiser::sgd(0.1),
        steps_per_epoch: 1.0,
        buffers: Vec::new(),
        seed: Seed(0),
        packs_votes: false,
        silence_is_hostile,
    };
    Server::new(settings, vec![0.0], None).unwrap()
}

/// What is found of worker `id`.
fn of(found: &[Evidence], id: u32) -> (Standing, Option<f64>, Option<&str>) {
    let row = found.iter().find(|row| row.worker == u64::from(id)).unwrap();
    (row.standing, row.weight, row.reason.as_deref())
}

#[test]
fn each_worker_has_one_record_whatever_it_sent() {
    let mut server = server(10, 3, false);
    assert!(server.evidence().iter().all(|row| row.standing == Standing::Refused));
    for (id, x) in [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0), (4, 10.0), (9, 2.5), (5, 4.0)] {
        server.receive(id, 0, &[x]).unwrap();
    }
    server.receive(6, 0, &[f32::NAN]).unwrap_err();
    server.receive(7, 0, &[1.0, 2.0]).unwrap_err();
    // The same again is harmless, something else is not.
    server.receive(0, 0, &[0.0]).unwrap_err();
    server.receive(5, 0, &[4.5]).unwrap_err();
    server.receive(5, 0, &[4.5]).unwrap_err();
    server.close();
    let found = server.evidence();
    assert_eq!(found.iter().map(|row| row.worker).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    // Six rows at f = 0: the two of least score, with four neighbours each, are 2 (6.25) and 1
    // (8.25), before 2.5 (9).
    assert_eq!(of(&found, 2), (Standing::Kept, Some(0.5), None));
    assert_eq!(of(&found, 1), (Standing::Kept, Some(0.5), None));
    let none = Some(0.0);
    let why = Some("not among the 2 rows of least score");
    assert_eq!(of(&found, 0), (Standing::Excluded, none, why));
    assert_eq!(of(&found, 4), (Standing::Excluded, none, why));
    assert_eq!(of(&found, 6), (Standing::Refused, none, Some("NaN at coordinate 0")));
    let why = "wrong length: 1 coordinates are wanted, 2 came";
    assert_eq!(of(&found, 7), (Standing::Refused, none, Some(why)));
    let why = "equivocation: a second message for the step differs from the first";
    assert_eq!(of(&found, 5), (Standing::Refused, none, Some(why)));
    assert_eq!(of(&found, 8), (Standing::Refused, none, Some("nothing came")));
    let far = found.iter().find(|row| row.worker == 4).unwrap();
    assert_eq!((far.norm, far.distance), (Some(10.0), Some(8.5)));
    assert!(found.iter().all(|row| (row.n, row.f, row.d, row.step) == (6, 0, 1, 0)));
}

#[test]
fn where_no_step_was_made_nobodys_row_was_seen() {
    let mut server = server(7, 2, false);
    for (id, x) in [(0, 3.0), (4, -4.0)] {
        server.receive(id, 0, &[x]).unwrap();
    }
    server.close();
    let found = server.evidence();
    let (standing, weight, why) = of(&found, 4);
    assert_eq!((standing, weight), (Standing::Refused, Some(0.0)));
    assert!(why.unwrap().starts_with("no step: multi-krum needs"), "{why:?}");
    let row = found.iter().find(|row| row.worker == 4).unwrap();
    assert_eq!((row.norm, row.distance, row.p), (Some(4.0), None, None));
    assert_eq!(of(&found, 1).2, Some("nothing came"));
    assert_eq!(found.len(), 7);
}
