//! A full spool that may give up its oldest batches for newer ones.

use std::collections::BTreeSet;

use super::*;
use crate::spool::{Enough, WhenFull};

/// Gives up what it was given, the oldest first.
#[derive(Default)]
struct Generous {
    kept: Mutex<BTreeSet<BatchNumber>>,
    given_up: Mutex<Vec<usize>>,
}

impl Binder for Generous {
    fn bind(&self, batches: Vec<NewBatch>) -> Vec<Control> {
        self.kept.lock().extend(batches.iter().map(|batch| batch.number));
        Vec::new()
    }

    fn drop_oldest(&self, enough: Enough) -> Vec<Control> {
        let mut kept = self.kept.lock();
        let count = match enough {
            Enough::Bytes(bytes) => usize::try_from(bytes / 8192).unwrap(),
            Enough::Batches(batches) => usize::try_from(batches).unwrap(),
        };
        let oldest: Vec<_> = kept.iter().take(count).copied().collect();
        kept.retain(|number| !oldest.contains(number));
        self.given_up.lock().push(oldest.len());
        let reason = String::new();
        let dead = |batch| Control::DeadLetter {
            batch,
            reason: reason.clone(),
        };
        oldest.into_iter().map(dead).collect()
    }

    fn committed(&self, _committed: Committed) {}
}

#[test]
fn a_full_spool_that_may_give_up_its_oldest_takes_more_and_gives_up_no_more_than_that() {
    let disk = SimDisk::new(1);
    let (opened, _) = Spool::open(Arc::new(disk), Path::new(DATA), &options()).unwrap();
    let binder = Arc::new(Generous::default());
    let mut committer = Committer::new(opened.journal, binder.clone(), WhenFull::DropOldest);
    for appended in 0..200 {
        assert_eq!(append(&mut committer, &entry(appended)), TAKEN);
    }
    let given_up: usize = binder.given_up.lock().iter().sum();
    let kept = binder.kept.lock().len();
    assert_eq!(given_up + kept, 200);
    assert!(kept >= 14, "at least two files of about seven entries, not {kept}");
    assert!(
        binder.given_up.lock().iter().all(|count| *count <= 8),
        "a file's worth at once"
    );
    // Batches of which there may be too many long before they take so much room.
    for appended in 200..1000 {
        let small = stretch(&[("logs", Route::Lane(0), 1)], &[position(1, appended)]);
        assert_eq!(append(&mut committer, &small), TAKEN);
    }
    assert!(binder.kept.lock().len() > 64, "{}", binder.kept.lock().len());
}
