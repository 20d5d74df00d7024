//! Events: what happened, in the order of time. Ids sort by time, so the primary key serves every order and range.

use doorward_domain::event::{Event, EventKind};
use doorward_domain::{ApplicationId, Code, EventId, Timestamp, UserId};

use crate::conn::{Conn, Tx};
use crate::error::Result;
use crate::fields::{Fields, page};
use crate::sql::{Query, Row, sql, sql_built};

macro_rules! event_columns {
    () => {
        "SELECT id AS e_id, at AS e_at, kind AS e_kind, reason AS e_reason, code AS e_code, user_id AS e_user_id, \
         application_id AS e_application_id, session_id AS e_session_id, ip AS e_ip, details AS e_details FROM events "
    };
}

pub(crate) const BY_CODE: &str = concat!(event_columns!(), "WHERE code = $1 ORDER BY id DESC LIMIT 1");

/// Which events to list.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only those that concern this user.
    pub user: Option<UserId>,
    /// Only those that concern this application.
    pub application: Option<ApplicationId>,
    /// Only those of this kind.
    pub kind: Option<EventKind>,
    /// Only those before this one in time: the last id of the page before.
    pub after: Option<EventId>,
    /// Size of the page, 1 to [`crate::MAX_PAGE`].
    pub limit: u32,
}

fn event_of(row: &Row) -> Result<Event> {
    let fields = Fields::new(row, "events", "e", "e_id");
    Ok(Event {
        id: fields.get("e_id")?,
        at: fields.get("e_at")?,
        kind: fields.word("e_kind")?,
        reason: fields.word_or_none("e_reason")?,
        code: fields.get::<Option<String>>("e_code")?.map(Code::new),
        user_id: fields.get("e_user_id")?,
        application_id: fields.get("e_application_id")?,
        session_id: fields.get("e_session_id")?,
        ip: fields.get("e_ip")?,
        details: fields.get("e_details")?,
    })
}

/// The statement that lists what the filter lets through.
pub(crate) fn filtered(filter: &EventFilter) -> Query {
    let last = EventId::from_uuid(uuid::Uuid::max());
    let mut query = sql_built(concat!(event_columns!(), "WHERE id < $1").to_owned());
    query = query.bind(filter.after.unwrap_or(last));
    if let Some(user) = filter.user {
        let clause = format!(" AND user_id = ${}", query.next_position());
        query = query.push(&clause).bind(user);
    }
    if let Some(application) = filter.application {
        let clause = format!(" AND application_id = ${}", query.next_position());
        query = query.push(&clause).bind(application);
    }
    if let Some(kind) = filter.kind {
        let clause = format!(" AND kind = ${}", query.next_position());
        query = query.push(&clause).bind(kind.as_str());
    }
    let order = format!(" ORDER BY id DESC LIMIT ${}", query.next_position());
    query.push(&order).bind(page(filter.limit))
}

/// The first id that an event at `at` can have.
fn first_id(at: Timestamp) -> EventId {
    EventId::mint(at, [0; 10])
}

impl Conn {
    /// The event behind the short code of a refusal. 1 query.
    ///
    /// # Errors
    /// Any [`crate::Error`] of the engine, [`crate::Error::Corrupt`] for a row that cannot be read; the same for all
    /// methods here.
    pub async fn event_by_code(&self, code: &str) -> Result<Option<Event>> {
        self.first(sql(BY_CODE).bind(code))
            .await?
            .as_ref()
            .map(event_of)
            .transpose()
    }

    /// One page of events, the newest first. 1 query.
    ///
    /// # Errors
    /// See [`Conn::event_by_code`].
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>> {
        let rows = self.scan(filtered(filter)).await?;
        rows.iter().map(event_of).collect()
    }

    /// How many events of each kind there were from `since` on; kinds without any are left out. 1 query, which reads
    /// through that range of time.
    ///
    /// # Errors
    /// See [`Conn::event_by_code`].
    pub async fn event_counts(&self, since: Timestamp) -> Result<Vec<(EventKind, i64)>> {
        // kind || '': SQLite would otherwise read all events in the order of the index on kind.
        let query = sql(
            "SELECT kind || '' AS e_kind, count(*) AS n FROM events WHERE id >= $1 \
             GROUP BY kind || '' ORDER BY kind || '' LIMIT 1000",
        );
        let rows = self.scan(query.bind(first_id(since))).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    Fields::new(row, "events", "e", "e_kind").word("e_kind")?,
                    row.get("n")?,
                ))
            })
            .collect()
    }
}

impl Tx {
    /// Adds an event. 1 query.
    ///
    /// # Errors
    /// See [`Conn::event_by_code`].
    pub async fn add_event(&self, event: &Event) -> Result<()> {
        let query = sql(
            "INSERT INTO events(id, at, kind, reason, code, user_id, application_id, session_id, ip, \
             details) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(event.id)
        .bind(event.at)
        .bind(event.kind.as_str())
        .bind(event.reason.map(doorward_domain::Reason::as_str))
        .bind(event.code.as_ref().map(Code::as_str))
        .bind(event.user_id)
        .bind(event.application_id)
        .bind(event.session_id)
        .bind(event.ip.as_deref())
        .bind(&event.details);
        self.run(query).await?;
        Ok(())
    }

    /// Removes events from before `before`; at most [`crate::FORGET_BATCH`] per call. 1 query.
    ///
    /// # Errors
    /// See [`Conn::event_by_code`].
    pub async fn forget_events(&self, before: Timestamp) -> Result<u64> {
        let query = sql(
            "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < $1 ORDER BY id LIMIT 1000)",
        );
        self.run(query.bind(first_id(before))).await
    }
}
