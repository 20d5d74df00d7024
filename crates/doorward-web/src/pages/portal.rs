//! The portal: the applications that a person may enter.

use super::{Link, initial, page, tint};

/// From how many applications on the search shows.
const SEARCH_FROM: usize = 13;

/// One application.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    /// Name.
    pub name: &'a str,
    /// One line about it; may be empty.
    pub description: &'a str,
    /// Its picture.
    pub icon: Option<Link<'a>>,
    /// Where it begins.
    pub launch: Link<'a>,
}

impl Tile<'_> {
    pub(crate) fn initial(&self) -> String {
        initial(self.name)
    }
    pub(crate) fn tint(&self) -> u32 {
        tint(self.name)
    }
}

/// Applications under one heading.
#[derive(Clone, Debug)]
pub struct TileGroup<'a> {
    /// The heading; empty for those without one.
    pub heading: &'a str,
    /// The applications, in the order to show.
    pub tiles: Vec<Tile<'a>>,
}

/// The portal page. Searches with the field `q` of a GET form.
#[derive(Clone, Debug)]
pub struct Portal<'a> {
    /// The applications that match, by heading.
    pub groups: Vec<TileGroup<'a>>,
    /// What was searched for; empty for everything.
    pub query: &'a str,
    /// How many applications the person may enter in all.
    pub total: usize,
}

impl Portal<'_> {
    pub(crate) const fn searchable(&self) -> bool {
        self.total >= SEARCH_FROM || !self.query.is_empty()
    }
    pub(crate) fn found(&self) -> usize {
        self.groups.iter().map(|group| group.tiles.len()).sum()
    }
}
page!(Portal, "portal.html");
