//! The database of the token service that was there before: its tables, and what its readers find in the views of the same names.

use doorward_store::{sql, sql_built};
use serde_json::{Map, Value};

use crate::app::App;

/// What readers of the old tables see.
#[derive(Debug, PartialEq, Eq)]
pub struct OldReading {
    /// Id, address, hash, name and time of everybody, in the order of the addresses.
    pub users: Vec<[String; 5]>,
    /// How many are administrators.
    pub admins: i64,
    /// Address and role, in order.
    pub roles: Vec<(String, String)>,
    /// Sessions that were not refreshed yet and belong to somebody in the list.
    pub sessions: i64,
    /// Matrix accounts.
    pub matrix: i64,
    /// Roles that there are.
    pub known_roles: i64,
}

impl App {
    /// Makes the old tables in this database (PostgreSQL), with so many people, and ten sessions.
    pub async fn make_old_tables(&self, people: u32) {
        let tx = self.store().begin().await.expect("a transaction");
        for statement in [
            sql(
                "CREATE TABLE auth_users(id uuid PRIMARY KEY, email text UNIQUE, password_hash text, display_name text, \
                 is_active boolean, is_admin boolean, meta jsonb, created_at timestamptz, updated_at timestamptz)",
            ),
            sql("CREATE TABLE auth_user_roles(user_id uuid, role_id text)"),
            sql(
                "CREATE TABLE auth_sessions(id uuid PRIMARY KEY, user_id uuid, user_agent text, ip_address text, \
                 created_at timestamptz, expires_at timestamptz, revoked_at timestamptz, meta jsonb)",
            ),
            sql(
                "INSERT INTO auth_users SELECT gen_random_uuid(), 'n' || n || '@example.org', 'none', 'N', true, false, '{}', \
                 now(), now() FROM generate_series(1, $1) AS n",
            )
            .bind(i64::from(people)),
            sql("INSERT INTO auth_user_roles SELECT id, 'user' FROM auth_users"),
            sql(
                "INSERT INTO auth_sessions SELECT gen_random_uuid(), id, 'x', '192.0.2.1', now(), timestamptz '2100-01-01', \
                 null, '{}' FROM auth_users LIMIT 10",
            ),
        ] {
            tx.run(statement).await.expect("an old table");
        }
        tx.commit().await.expect("a commit");
    }

    /// Makes a table of another program in this database, with the columns that the rows have, as each engine would keep them.
    pub async fn make_foreign_table(&self, table: &str, rows: &[Value]) {
        let sqlite = self.store().engine_name() == "sqlite";
        let rows: Vec<&Map<String, Value>> = rows.iter().filter_map(Value::as_object).collect();
        let mut columns: Vec<(&str, &str)> = Vec::new();
        for (name, value) in rows.iter().flat_map(|row| row.iter()) {
            let kind = match value {
                Value::Bool(_) if !sqlite => "boolean",
                Value::Bool(_) | Value::Number(_) => "bigint",
                _ if name.ends_with("At") && !sqlite => "timestamptz",
                _ => "text",
            };
            match columns.iter_mut().find(|(known, _)| known == name) {
                None => columns.push((name, kind)),
                Some(known) if !value.is_null() => known.1 = kind,
                Some(_) => {}
            }
        }
        let literal = |value: Option<&Value>| match value {
            None | Some(Value::Null) => "NULL".to_owned(),
            Some(Value::Bool(flag)) if sqlite => u8::from(*flag).to_string(),
            Some(Value::String(text)) => format!("'{}'", text.replace('\'', "''")),
            Some(other) => other.to_string(),
        };
        let tx = self.store().begin().await.expect("a transaction");
        let described: Vec<String> = columns
            .iter()
            .map(|(name, kind)| format!("\"{name}\" {kind}"))
            .collect();
        let create = format!("CREATE TABLE \"{table}\" ({})", described.join(", "));
        tx.run(sql_built(create)).await.expect("a table");
        for row in rows {
            let values: Vec<String> = columns.iter().map(|(name, _)| literal(row.get(*name))).collect();
            let insert = format!("INSERT INTO \"{table}\" VALUES ({})", values.join(", "));
            tx.run(sql_built(insert)).await.expect("a row");
        }
        tx.commit().await.expect("a commit");
    }

    /// Reads the views as programs of old do.
    pub async fn read_as_of_old(&self) -> OldReading {
        let conn = self.store().read();
        let users = sql(
            "SELECT CAST(id AS text) AS a, email AS b, password_hash AS c, display_name AS d, CAST(created_at AS text) AS e \
             FROM auth_users ORDER BY email",
        );
        let users = conn.all(users).await.expect("users");
        let roles = sql(
            "SELECT email, role_id FROM auth_user_roles AS r JOIN auth_users AS u ON u.id = r.user_id ORDER BY email, role_id",
        );
        let roles = conn.all(roles).await.expect("roles");
        let count = async |query| {
            let row = conn.one(query).await.expect("a count");
            row.get::<i64>("n").expect("a number")
        };
        OldReading {
            users: users
                .iter()
                .map(|row| ["a", "b", "c", "d", "e"].map(|name| row.get(name).expect("a text")))
                .collect(),
            admins: count(sql("SELECT count(*) AS n FROM auth_users WHERE is_admin")).await,
            roles: roles
                .iter()
                .map(|row| {
                    (
                        row.get("email").expect("an address"),
                        row.get("role_id").expect("a role"),
                    )
                })
                .collect(),
            sessions: count(sql(
                "SELECT count(*) AS n FROM auth_sessions AS s JOIN auth_users AS u ON u.id = s.user_id \
                 WHERE s.revoked_at IS NULL AND s.generation = 0",
            ))
            .await,
            matrix: count(sql("SELECT count(*) AS n FROM auth_matrix_accounts")).await,
            known_roles: count(sql("SELECT count(*) AS n FROM auth_roles")).await,
        }
    }
}
