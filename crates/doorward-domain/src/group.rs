//! Groups, their parents, and who is effectively in what.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::{Attributes, GroupId, Timestamp};

/// A group as stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Identifier.
    pub id: GroupId,
    /// Name; unique without regard to case; appears in the `groups` claim.
    pub name: String,
    /// Members, also those of groups below, may administer everything.
    pub superuser: bool,
    /// Operator-defined attributes.
    pub attributes: Attributes,
    /// Groups that members of this one are members of too.
    pub parents: Vec<GroupId>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When the record last changed.
    pub updated_at: Timestamp,
    /// Set while the group is in the bin.
    pub deleted_at: Option<Timestamp>,
}

/// All live groups, with the closure over parents answered quickly.
#[derive(Clone, Debug, Default)]
pub struct GroupTree {
    groups: BTreeMap<GroupId, Group>,
}

impl GroupTree {
    /// Builds the tree; deleted groups are left out.
    #[must_use]
    pub fn new(groups: impl IntoIterator<Item = Group>) -> Self {
        let groups = groups
            .into_iter()
            .filter(|g| g.deleted_at.is_none())
            .map(|g| (g.id, g))
            .collect();
        Self { groups }
    }

    /// One group.
    #[must_use]
    pub fn find(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// One group by name, without regard to case.
    #[must_use]
    pub fn find_by_name(&self, name: &str) -> Option<&Group> {
        let wanted = crate::text::fold(name);
        self.groups
            .values()
            .find(|group| crate::text::fold(&group.name) == wanted)
    }

    /// All groups in order of id.
    pub fn iter(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    /// Effective membership: the direct groups and everything above them. Cycles end the walk; unknown ids are dropped.
    #[must_use]
    pub fn effective(&self, direct: impl IntoIterator<Item = GroupId>) -> BTreeSet<GroupId> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<GroupId> = direct.into_iter().collect();
        while let Some(id) = open.pop() {
            let Some(group) = self.groups.get(&id) else {
                continue;
            };
            if seen.insert(id) {
                open.extend(group.parents.iter().copied());
            }
        }
        seen
    }

    /// Is any of these (already effective) groups a superuser group?
    #[must_use]
    pub fn is_superuser(&self, effective: &BTreeSet<GroupId>) -> bool {
        effective
            .iter()
            .any(|id| self.groups.get(id).is_some_and(|group| group.superuser))
    }

    /// Would making `parent` a parent of `child` close a circle?
    #[must_use]
    pub fn closes_circle(&self, child: GroupId, parent: GroupId) -> bool {
        child == parent || self.effective([parent]).contains(&child)
    }

    /// Names of the given groups, sorted.
    #[must_use]
    pub fn names(&self, ids: &BTreeSet<GroupId>) -> Vec<String> {
        let mut names: Vec<String> = ids
            .iter()
            .filter_map(|id| self.groups.get(id))
            .map(|g| g.name.clone())
            .collect();
        names.sort();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(n: u8, parents: &[u8], superuser: bool) -> Group {
        Group {
            id: id(n),
            name: format!("g{n}"),
            superuser,
            attributes: Attributes::new(),
            parents: parents.iter().map(|p| id(*p)).collect(),
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
            deleted_at: None,
        }
    }
    fn id(n: u8) -> GroupId {
        GroupId::mint(Timestamp::from_millis(i64::from(n)), [n; 10])
    }

    #[test]
    fn membership_is_transitive_and_survives_circles() {
        let tree = GroupTree::new([group(1, &[2], false), group(2, &[3], false), group(3, &[1], true)]);
        assert_eq!(tree.effective([id(1)]).len(), 3);
        assert!(tree.is_superuser(&tree.effective([id(1)])));
        assert!(tree.effective([id(9)]).is_empty());
    }

    #[test]
    fn a_circle_is_seen_before_it_is_closed() {
        let tree = GroupTree::new([group(1, &[2], false), group(2, &[], false)]);
        assert!(tree.closes_circle(id(2), id(1)));
        assert!(tree.closes_circle(id(1), id(1)));
        assert!(!tree.closes_circle(id(1), id(2)));
    }

    #[test]
    fn a_deleted_group_gives_nothing() {
        let mut gone = group(3, &[], true);
        gone.deleted_at = Some(Timestamp::from_millis(1));
        let tree = GroupTree::new([group(1, &[3], false), gone]);
        assert!(!tree.is_superuser(&tree.effective([id(1)])));
    }
}
