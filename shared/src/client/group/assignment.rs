//! Who in a consumer group reads which partitions, by the range assignor, which every client knows.

use std::collections::BTreeMap;

use bytestring::ByteString;

/// Partitions by topic.
pub type Assignment = BTreeMap<ByteString, Vec<i32>>;

/// Deals each topic's partitions to the members that want it, in contiguous ranges, the first members taking one more
/// where it does not come out even. `members` have the topics that each wants, `partitions` how many each topic has.
pub(super) fn assign_ranges(
    members: &BTreeMap<ByteString, Vec<ByteString>>,
    partitions: &BTreeMap<ByteString, i32>,
) -> BTreeMap<ByteString, Assignment> {
    let mut assignments: BTreeMap<_, _> = members.keys().map(|id| (id.clone(), Assignment::new())).collect();
    for (topic, &count) in partitions {
        let wanting: Vec<_> = members
            .iter()
            .filter(|(_, topics)| topics.contains(topic))
            .map(|(id, _)| id)
            .collect();
        let mut rest = 0..count;
        for (index, id) in wanting.iter().enumerate() {
            let members_left = i32::try_from(wanting.len() - index).unwrap_or(i32::MAX);
            let share = (rest.end - rest.start + members_left - 1) / members_left;
            let range = rest.start..rest.start + share;
            rest.start = range.end;
            if let Some(assignment) = assignments.get_mut(*id).filter(|_| !range.is_empty()) {
                assignment.insert(topic.clone(), range.collect());
            }
        }
    }
    assignments
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topics(names: &[&'static str]) -> Vec<ByteString> {
        names.iter().copied().map(ByteString::from_static).collect()
    }

    #[test]
    fn ranges_are_contiguous_and_the_first_take_more() {
        let members = ["a", "b", "c"]
            .map(|id| (ByteString::from_static(id), topics(&["t"])))
            .into();
        let assigned = assign_ranges(&members, &[("t".into(), 8)].into());
        let of = |id: &str| assigned[id]["t"].clone();
        assert_eq!((of("a"), of("b"), of("c")), (vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]));
    }

    #[test]
    fn a_member_gets_only_what_it_wants() {
        let members = [("a".into(), topics(&["t"])), ("b".into(), topics(&["t", "u"]))].into();
        let assigned = assign_ranges(&members, &[("t".into(), 1), ("u".into(), 1)].into());
        assert_eq!(assigned["a"], [("t".into(), vec![0])].into());
        assert_eq!(assigned["b"], [("u".into(), vec![0])].into());
    }

    proptest! {
        #[test]
        fn every_partition_has_exactly_one_reader(
            wanted in prop::collection::vec(prop::collection::btree_set(0..3usize, 0..=3), 1..6),
            counts in prop::collection::vec(0..20i32, 3),
        ) {
            let names = topics(&["t0", "t1", "t2"]);
            let members: BTreeMap<ByteString, Vec<ByteString>> = wanted.iter().enumerate()
                .map(|(id, wanted)| (format!("m{id}").into(), wanted.iter().map(|topic| names[*topic].clone()).collect()))
                .collect();
            let assigned = assign_ranges(&members, &names.iter().cloned().zip(counts.iter().copied()).collect());
            for (topic, count) in names.iter().zip(&counts) {
                let wanting: Vec<_> = members.iter().filter(|(_, topics)| topics.contains(topic)).collect();
                let mut dealt: Vec<i32> =
                    assigned.values().filter_map(|assignment| assignment.get(topic)).flatten().copied().collect();
                dealt.sort_unstable();
                let expected: Vec<i32> = if wanting.is_empty() { vec![] } else { (0..*count).collect() };
                prop_assert_eq!(dealt, expected);
            }
        }
    }
}
