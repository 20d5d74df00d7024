//! Another program's SQLite file: opened for reading only, in one transaction, its rows made into JSON.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value as Json};

use crate::engine_sqlite::blocking;
use crate::error::Result;
use crate::foreign::{BATCH, identifier};
use crate::sqlite_file::{fault, open_reader};

/// Longest text of a column that is read; a longer one is as good as none.
const LONGEST_TEXT: usize = 256 * 1024;

/// The file.
pub(crate) struct ForeignFile(Arc<Mutex<Connection>>);

impl ForeignFile {
    pub(crate) async fn open(path: PathBuf) -> Result<Self> {
        let conn = blocking(move || {
            let conn = open_reader(&path)?;
            conn.execute_batch("BEGIN").map_err(|error| fault(&error))?;
            Ok(conn)
        })
        .await?;
        let file = Self(Arc::new(Mutex::new(conn)));
        // What it is read from is decided by the first reading.
        file.tables().await?;
        Ok(file)
    }

    async fn with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let conn = Arc::clone(&self.0);
        blocking(move || {
            let conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
            read(&conn).map_err(|error| fault(&error))
        })
        .await
    }

    pub(crate) async fn tables(&self) -> Result<Vec<String>> {
        self.with(|conn| {
            let mut names = conn.prepare(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY 1",
            )?;
            names.query_map([], |row| row.get(0))?.collect()
        })
        .await
    }

    pub(crate) async fn count(&self, statement: String) -> Result<u64> {
        let count: i64 = self
            .with(move |conn| conn.query_row(&statement, [], |row| row.get(0)))
            .await?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// The rows after one, and which the last is; `None` when there are no more.
    pub(crate) async fn batch(
        &self,
        table: &str,
        after: i64,
    ) -> Result<Option<(i64, Vec<Map<String, Json>>)>> {
        let statement = format!(
            "SELECT rowid, * FROM {} WHERE rowid > ?1 ORDER BY rowid LIMIT {BATCH}",
            identifier(table)
        );
        self.with(move |conn| {
            let mut query = conn.prepare(&statement)?;
            let names: Vec<String> = query.column_names().map(str::to_owned).collect();
            let mut rows = query.query([after])?;
            let (mut last, mut read) = (after, Vec::new());
            while let Some(row) = rows.next()? {
                last = row.get(0)?;
                let mut columns = Map::new();
                for (at, name) in names.iter().enumerate().skip(1) {
                    columns.insert(name.clone(), json(row.get_ref(at)?));
                }
                read.push(columns);
            }
            Ok((!read.is_empty()).then_some((last, read)))
        })
        .await
    }
}

fn json(value: ValueRef<'_>) -> Json {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Json::Null,
        ValueRef::Integer(number) => Json::from(number),
        ValueRef::Real(number) => Json::from(number),
        ValueRef::Text(text) if text.len() > LONGEST_TEXT => Json::Null,
        ValueRef::Text(text) => Json::from(String::from_utf8_lossy(text).into_owned()),
    }
}
