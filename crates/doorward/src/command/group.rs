//! `doorward group …`

use clap::{Args, Subcommand};
use doorward_core::admin::groups::GroupChange;
use doorward_domain::group::Group as Record;
use doorward_domain::{GroupId, UserId};
use doorward_store::MAX_PAGE;
use serde_json::{Value, json};

use super::user::{attribute, attributes, print_users};
use super::{Desk, view};
use crate::arguments::Yes;
use crate::failure::Result;
use crate::out::{cell, cells, facts};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// Makes a group
    #[command(
        after_help = "Examples:\n  doorward group create staff\n  doorward group create developers --parent staff\n  doorward group create admins --superuser --attribute role=\\\"admin\\\""
    )]
    Create(Create),
    /// Shows one group
    #[command(after_help = "Examples:\n  doorward group show staff --json")]
    Show(Name),
    /// Lists groups
    #[command(after_help = "Examples:\n  doorward group list\n  doorward group list --deleted")]
    List(List),
    /// Changes a group; what is not named stays
    #[command(
        after_help = "Examples:\n  doorward group update staff --name team\n  doorward group update staff --parent company     replaces all parents\n  doorward group update staff --no-parents"
    )]
    Update(Update),
    /// Deletes a group; can be restored for 30 days with its members
    #[command(after_help = "Examples:\n  doorward group delete staff")]
    Delete(Gone),
    /// Brings a deleted group back
    #[command(after_help = "Examples:\n  doorward group restore staff")]
    Restore(Name),
    /// Who is directly in a group
    #[command(subcommand)]
    Member(Member),
}

/// Members of a group.
#[derive(Debug, Subcommand)]
pub(crate) enum Member {
    /// Puts users into a group
    #[command(after_help = "Examples:\n  doorward group member add staff alice bob")]
    Add(Members),
    /// Takes users out of a group
    #[command(after_help = "Examples:\n  doorward group member remove staff bob")]
    Remove(Members),
    /// Lists direct members
    #[command(after_help = "Examples:\n  doorward group member list staff --json")]
    List(MemberList),
}

/// A group to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Name; stands in the `groups` claim
    name: String,
    /// Members administer everything
    #[arg(long)]
    superuser: bool,
    /// Group that members of this one are members of too (may be repeated)
    #[arg(long, value_name = "GROUP")]
    parent: Vec<String>,
    /// Attribute; the value is JSON, or text when it is not (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    attribute: Vec<(String, Value)>,
}

/// Which group.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Name or id
    group: String,
}

/// Which group to delete.
#[derive(Debug, Args)]
pub(crate) struct Gone {
    /// Name or id
    group: String,
    #[command(flatten)]
    yes: Yes,
}

/// Which groups.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only deleted groups that can be restored
    #[arg(long)]
    deleted: bool,
}

/// What is to change.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Name or id
    group: String,
    /// New name
    #[arg(long)]
    name: Option<String>,
    /// Members administer everything, or with `=false` they do not
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true|false")]
    superuser: Option<bool>,
    /// Parent; replaces all parents (may be repeated)
    #[arg(long, value_name = "GROUP", conflicts_with = "no_parents")]
    parent: Vec<String>,
    /// Removes all parents
    #[arg(long)]
    no_parents: bool,
    /// Attribute; the value is JSON, or text when it is not; null removes it (may be repeated)
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    attribute: Vec<(String, Value)>,
}

/// Who in which group.
#[derive(Debug, Args)]
pub(crate) struct Members {
    /// Name or id of the group
    group: String,
    /// User names, e-mail addresses or ids
    #[arg(required = true)]
    user: Vec<String>,
}

/// A page of members.
#[derive(Debug, Args)]
pub(crate) struct MemberList {
    /// Name or id of the group
    group: String,
    /// Most users shown, 1 to 1000
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PAGE)))]
    limit: u32,
    /// Only users after the one with this id: the next page
    #[arg(long, value_name = "ID", value_parser = super::id::<doorward_domain::UserId>)]
    after: Option<UserId>,
}

/// Does it.
pub(crate) async fn run(what: Group, desk: &Desk) -> Result<()> {
    match what {
        Group::Create(new) => {
            let change = GroupChange {
                name: None,
                superuser: Some(new.superuser),
                parents: Some(new.parent),
                attributes: attributes(new.attribute),
            };
            let group = desk.doorward.create_group(&new.name, &change).await?;
            show(desk, &group, Some("was made")).await
        }
        Group::Show(name) => {
            let group = desk.doorward.find_group(&name.group).await?;
            show(desk, &group, None).await
        }
        Group::List(list) => self::list(&list, desk).await,
        Group::Update(change) => update(change, desk).await,
        Group::Delete(gone) => delete(&gone, desk).await,
        Group::Restore(name) => {
            let group = desk.deleted_group(&name.group).await?;
            desk.doorward.restore_group(group.id).await?;
            let group = desk.doorward.find_group(&group.id.to_string()).await?;
            show(desk, &group, Some("was restored")).await
        }
        Group::Member(Member::Add(members)) => change_members(desk, &members, Direction::In).await,
        Group::Member(Member::Remove(members)) => change_members(desk, &members, Direction::Out).await,
        Group::Member(Member::List(list)) => {
            let group = desk.doorward.find_group(&list.group).await?;
            let members = desk.doorward.members(group.id, list.after, list.limit).await?;
            print_users(desk, &members)?;
            let full = members.len() == usize::try_from(list.limit).unwrap_or(usize::MAX);
            if let Some(last) = members.last().filter(|_| full) {
                desk.out.note(&format!("There may be more: --after {}", last.id));
            }
            Ok(())
        }
    }
}

async fn show(desk: &Desk, group: &Record, what: Option<&str>) -> Result<()> {
    let value = view::group(group, &desk.tree().await?);
    desk.out.either(&value, || {
        let title = what.map_or_else(
            || group.name.clone(),
            |what| format!("Group {} {what}.", group.name),
        );
        let mut pairs: Vec<(&str, String)> = [
            ("administrators", "superuser"),
            ("parents", "parents"),
            ("id", "id"),
            ("made", "created_at"),
            ("deleted", "deleted_at"),
        ]
        .into_iter()
        .map(|(label, field)| (label, cell(value.get(field))))
        .collect();
        if !group.attributes.is_empty() {
            pairs.push(("attributes", Value::Object(group.attributes.clone()).to_string()));
        }
        facts(&title, &pairs)
    })
}

async fn list(list: &List, desk: &Desk) -> Result<()> {
    let tree = desk.tree().await?;
    let mut groups = desk.doorward.list_groups(list.deleted).await?;
    if list.deleted {
        groups.retain(|group| group.deleted_at.is_some());
    }
    desk.out.list(
        groups.iter().map(|group| view::group(group, &tree)).collect(),
        &["NAME", "PARENTS", "ADMINISTRATORS", "ID"],
        |group| cells(group, &["name", "parents", "superuser", "id"]),
        "There are no such groups.",
    )
}

async fn update(given: Update, desk: &Desk) -> Result<()> {
    let group = desk.doorward.find_group(&given.group).await?;
    let parents = (given.no_parents || !given.parent.is_empty()).then_some(given.parent);
    let change = GroupChange {
        name: given.name,
        superuser: given.superuser,
        parents,
        attributes: attributes(given.attribute),
    };
    let group = desk.doorward.update_group(group.id, &change).await?;
    show(desk, &group, Some("was changed")).await
}

async fn delete(gone: &Gone, desk: &Desk) -> Result<()> {
    let group = desk.doorward.find_group(&gone.group).await?;
    let members = desk.doorward.members(group.id, None, MAX_PAGE).await?.len();
    let more = if members >= usize::try_from(MAX_PAGE).unwrap_or(usize::MAX) {
        " or more"
    } else {
        ""
    };
    let question = format!(
        "Delete the group `{}`? {members}{more} direct members lose what it gives; 30 days to restore.",
        group.name
    );
    desk.out.confirm(&question, gone.yes.assent())?;
    desk.doorward.delete_group(group.id).await?;
    let value = json!({ "deleted": group.name, "id": group.id });
    desk.out.either(&value, || {
        vec![format!(
            "Group {} was deleted; `doorward group restore {0}` brings it back with its members within 30 days.",
            group.name
        )]
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

async fn change_members(desk: &Desk, members: &Members, direction: Direction) -> Result<()> {
    let group = desk.doorward.find_group(&members.group).await?;
    // All names are looked up first: a slip in the last one changes nothing.
    let mut users = Vec::new();
    for wanted in &members.user {
        users.push(desk.user(wanted).await?);
    }
    let mut changed = Vec::new();
    for user in &users {
        if move_member(desk, user.id, group.id, direction).await? {
            changed.push(user.username.clone());
        }
    }
    let (field, verb) = match direction {
        Direction::In => ("added", "were added to"),
        Direction::Out => ("removed", "were removed from"),
    };
    let value = json!({ "group": group.name, field: changed });
    desk.out.either(&value, || {
        vec![match (changed.is_empty(), direction) {
            (false, _) => format!("{} {verb} {}.", changed.join(", "), group.name),
            (true, Direction::In) => format!("Nothing changed: all of them are in {} already.", group.name),
            (true, Direction::Out) => format!("Nothing changed: none of them is directly in {}.", group.name),
        }]
    })
}

async fn move_member(desk: &Desk, user: UserId, group: GroupId, direction: Direction) -> Result<bool> {
    Ok(match direction {
        Direction::In => desk.doorward.add_member(user, group).await?,
        Direction::Out => desk.doorward.remove_member(user, group).await?,
    })
}
